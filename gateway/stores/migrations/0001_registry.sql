-- What the gateway knows before a report arrives: operators, models, devices, and who reads which lane.

create table operator (
    operator_id int primary key,
    name text not null
);

create table device_model (
    model text primary key,
    operator_id int not null references operator,
    kind smallint not null,
    heartbeat_s int not null check (heartbeat_s > 0),
    quiet_after_s int not null check (quiet_after_s > 0),
    lost_after_s int not null check (lost_after_s >= quiet_after_s),
    battery_low_pct smallint not null,
    slot_count smallint not null,
    auto_register boolean not null,
    -- 1 is WGS-84; nothing else is accepted until conversion exists.
    crs smallint not null check (crs = 1)
);

create table device (
    device_no int generated always as identity primary key,
    device_id text not null unique check (device_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,31}$' and device_id !~ '^lk-'),
    operator_id int not null references operator,
    model text not null references device_model,
    status smallint not null check (status between 1 and 4),
    public_id text not null unique,
    marker int not null unique check (marker between 100000000 and 999999999),
    shard smallint not null check (shard between 0 and 15),
    boot bigint not null default 0,
    -- An unsigned 64-bit number, kept as the bigint with the same bits.
    power_on_id bigint,
    boot_given_ms bigint not null default 0,
    home_lat_e7 int,
    home_lon_e7 int,
    registered_at timestamptz not null default now(),
    -- Moved by every change a gateway must hear of; boot numbers are not such a change.
    changed_at timestamptz not null default clock_timestamp()
) with (fillfactor = 80);
create index device_by_shard on device (shard);
create index device_by_change on device (changed_at);
create index device_by_operator on device (operator_id, device_id);

create function latchkey_note_change() returns trigger language plpgsql as $$
begin
    new.changed_at := clock_timestamp();
    return new;
end $$;
create trigger device_changed
    before update of status, model, operator_id, public_id, marker, home_lat_e7, home_lon_e7 on device
    for each row execute function latchkey_note_change();

create table device_boot (
    device_no int not null references device on delete cascade,
    boot bigint not null,
    power_on_id bigint not null,
    given_at timestamptz not null,
    operator_id int not null,
    primary key (device_no, boot)
);

create table lease (
    lane text primary key,
    owner text not null,
    lease_no bigint not null,
    expires_at timestamptz not null,
    -- Lanes are shared by all operators.
    operator_id int
);

create table quarantine (
    quarantine_no bigint generated always as identity primary key,
    -- Null when the device is unknown.
    operator_id int,
    device_id text not null,
    topic text not null,
    reason text not null,
    place text not null,
    received_at timestamptz not null,
    frame bytea not null,
    -- Tells equal frames of one batch apart, so that a batch given twice is still kept once.
    occurrence int not null default 0,
    replay_marked_at timestamptz
);
create unique index quarantine_once on quarantine (device_id, received_at, reason, md5(frame), occurrence);
create index quarantine_to_replay on quarantine (quarantine_no) where replay_marked_at is not null;
create index quarantine_by_age on quarantine (received_at);

create table unit_sighting (
    -- Numbers in the order of commits of one lane, which is what decides where a unit is now.
    sighting_no bigint generated always as identity primary key,
    operator_id int not null,
    unit_id text not null,
    device_no int not null,
    slot smallint not null,
    at timestamptz not null,
    unique (unit_id, device_no, slot, at)
);
create index unit_sighting_newest on unit_sighting (unit_id, sighting_no desc);

create table last_report (
    device_no int primary key references device on delete cascade,
    operator_id int not null,
    revision bigint not null,
    state bytea not null,
    saved_at timestamptz not null
) with (fillfactor = 70);
