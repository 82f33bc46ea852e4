-- Every report that was ever stored: native partitions of one day, made ahead.

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
) partition by range (at);
create unique index report_stamp on report (device_no, boot, seq, at);
-- No row may ever fail for want of a partition.
create table report_elsewhen partition of report default;

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

create function latchkey_make_partitions(first_day date, last_day date) returns int language plpgsql as $$
declare
    day date;
    made int := 0;
    part text;
    from_at timestamptz;
    to_at timestamptz;
begin
    -- Two gateways may come to midnight together.
    perform pg_advisory_xact_lock(hashtext('latchkey_make_partitions'));
    for day in select generate_series(first_day, last_day, interval '1 day')::date loop
        part := 'report_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass(part) is not null;
        from_at := day::timestamp at time zone 'UTC';
        to_at := (day + 1)::timestamp at time zone 'UTC';
        execute format('create table %I (like report including defaults including constraints)', part);
        if exists (select from report_elsewhen where at >= from_at and at < to_at) then
            execute format('with moved as (delete from report_elsewhen where at >= %L and at < %L returning *) '
                           'insert into %I select * from moved', from_at, to_at, part);
        end if;
        execute format('alter table report attach partition %I for values from (%L) to (%L)', part, from_at, to_at);
        made := made + 1;
    end loop;
    return made;
end $$;

create function latchkey_drop_old_reports(before timestamptz) returns int language plpgsql as $$
declare
    part text;
    dropped int := 0;
begin
    perform pg_advisory_xact_lock(hashtext('latchkey_make_partitions'));
    for part in
        select child.relname from pg_inherits
        join pg_class child on child.oid = inhrelid
        where inhparent = 'report'::regclass and child.relname ~ '^report_[0-9]{8}$'
          and ((to_date(right(child.relname, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC') <= before
    loop
        execute format('drop table %I', part);
        dropped := dropped + 1;
    end loop;
    delete from report_elsewhen where at < before;
    return dropped;
end $$;
