-- Every report that was ever stored: a hypertable of one-day chunks.

create table report (
    device_no int not null,
    operator_id int not null,
    boot bigint not null,
    seq bigint not null,
    at timestamptz not null,
    received_at timestamptz not null,
    clock_suspect boolean not null,
    kept boolean not null,
    lat_e7 int,
    lon_e7 int,
    accuracy_m real,
    battery_pct smallint,
    bolt smallint,
    moving boolean,
    units smallint,
    spaces smallint,
    signal_dbm smallint,
    frame bytea not null
);
select create_hypertable('report', by_range('at', interval '1 day'), create_default_indexes => false);
-- A unique index of a hypertable must contain the time column: the stamp alone decides, see the staging path.
create unique index report_stamp on report (device_no, boot, seq, at);

-- Rows older than the late window when they came: never compressed, never in a chunk that may be dropped.
create table history_late (
    device_no int not null,
    operator_id int not null,
    boot bigint not null,
    seq bigint not null,
    at timestamptz not null,
    received_at timestamptz not null,
    clock_suspect boolean not null,
    kept boolean not null,
    lat_e7 int,
    lon_e7 int,
    accuracy_m real,
    battery_pct smallint,
    bolt smallint,
    moving boolean,
    units smallint,
    spaces smallint,
    signal_dbm smallint,
    frame bytea not null,
    unique (device_no, boot, seq)
);
create index history_late_by_time on history_late (device_no, at);
create index history_late_by_arrival on history_late (received_at);

create view report_all as
    select * from report
    union all
    select * from history_late;

create function latchkey_make_partitions(first_day date, last_day date) returns int language sql as
    'select 0';
comment on function latchkey_make_partitions is 'A hypertable makes its own chunks.';

create function latchkey_drop_old_reports(before timestamptz) returns int language sql as
    'select 0';
comment on function latchkey_drop_old_reports is 'The retention policy drops chunks.';
