-- What a chart of months needs: one row per device and minute, hour and day.
-- Rows that came later than the late window are in the raw history only.

create materialized view report_1m with (timescaledb.continuous, timescaledb.materialized_only = false) as
    select device_no, operator_id, time_bucket(interval '1 minute', at) as bucket,
           count(*) as reports, 1 as online_minutes,
           min(battery_pct) as battery_min_pct, max(battery_pct) as battery_max_pct,
           last(battery_pct, at) filter (where battery_pct is not null) as battery_last_pct,
           last(lat_e7, at) filter (where lat_e7 is not null) as lat_e7,
           last(lon_e7, at) filter (where lat_e7 is not null) as lon_e7,
           min(units) as units_min, max(units) as units_max,
           last(units, at) filter (where units is not null) as units_last,
           min(spaces) as spaces_min, max(spaces) as spaces_max,
           last(spaces, at) filter (where spaces is not null) as spaces_last
    from report
    group by 1, 2, 3
with no data;

create materialized view report_1h with (timescaledb.continuous, timescaledb.materialized_only = false) as
    select device_no, operator_id, time_bucket(interval '1 hour', bucket) as bucket,
           sum(reports)::bigint as reports, sum(online_minutes)::int as online_minutes,
           min(battery_min_pct) as battery_min_pct, max(battery_max_pct) as battery_max_pct,
           last(battery_last_pct, bucket) filter (where battery_last_pct is not null) as battery_last_pct,
           last(lat_e7, bucket) filter (where lat_e7 is not null) as lat_e7,
           last(lon_e7, bucket) filter (where lat_e7 is not null) as lon_e7,
           min(units_min) as units_min, max(units_max) as units_max,
           last(units_last, bucket) filter (where units_last is not null) as units_last,
           min(spaces_min) as spaces_min, max(spaces_max) as spaces_max,
           last(spaces_last, bucket) filter (where spaces_last is not null) as spaces_last
    from report_1m
    group by 1, 2, 3
with no data;

create materialized view report_1d with (timescaledb.continuous, timescaledb.materialized_only = false) as
    select device_no, operator_id, time_bucket(interval '1 day', bucket) as bucket,
           sum(reports)::bigint as reports, sum(online_minutes)::int as online_minutes,
           min(battery_min_pct) as battery_min_pct, max(battery_max_pct) as battery_max_pct,
           last(battery_last_pct, bucket) filter (where battery_last_pct is not null) as battery_last_pct,
           last(lat_e7, bucket) filter (where lat_e7 is not null) as lat_e7,
           last(lon_e7, bucket) filter (where lat_e7 is not null) as lon_e7,
           min(units_min) as units_min, max(units_max) as units_max,
           last(units_last, bucket) filter (where units_last is not null) as units_last,
           min(spaces_min) as spaces_min, max(spaces_max) as spaces_max,
           last(spaces_last, bucket) filter (where spaces_last is not null) as spaces_last
    from report_1h
    group by 1, 2, 3
with no data;

alter table report set (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'device_no',
    timescaledb.compress_orderby = 'boot, seq, at'
);

-- Each policy starts at its own minute: retention and compression that start together deadlock.
-- start_offset is bounded, and far inside retention: an unbounded refresh after retention would empty the buckets
-- whose raw rows were dropped.
select add_continuous_aggregate_policy('report_1m', start_offset => interval '8 days', end_offset => interval '2 minutes',
    schedule_interval => interval '5 minutes', initial_start => date_trunc('day', now()) + interval '1 day 1 minute');
select add_continuous_aggregate_policy('report_1h', start_offset => interval '9 days', end_offset => interval '1 hour',
    schedule_interval => interval '30 minutes', initial_start => date_trunc('day', now()) + interval '1 day 3 minutes');
select add_continuous_aggregate_policy('report_1d', start_offset => interval '11 days', end_offset => interval '1 day',
    schedule_interval => interval '6 hours', initial_start => date_trunc('day', now()) + interval '1 day 14 minutes');
select add_compression_policy('report', compress_after => interval '8 days',
    schedule_interval => interval '12 hours', initial_start => date_trunc('day', now()) + interval '1 day 1 hour 7 minutes');
select add_retention_policy('report', drop_after => interval '90 days',
    schedule_interval => interval '1 day', initial_start => date_trunc('day', now()) + interval '1 day 2 hours 22 minutes');
select add_retention_policy('report_1m', drop_after => interval '400 days',
    schedule_interval => interval '1 day', initial_start => date_trunc('day', now()) + interval '1 day 3 hours 37 minutes');

create function report_steps(of_device int, step text, from_at timestamptz, to_at timestamptz)
returns setof report_1m language plpgsql stable as $$
begin
    return query execute format('select * from %I where device_no = $1 and bucket >= $2 and bucket < $3', 'report_' || step)
        using of_device, from_at, to_at;
end $$;
comment on function report_steps is 'The aggregate rows of one device: step is 1m, 1h or 1d.';
