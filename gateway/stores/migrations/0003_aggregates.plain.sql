-- The names and columns of the aggregates as plain views: right, but computed at each question, and only as far
-- back as raw rows are kept. Rows that came later than the late window are in the raw history only.

do $make$
declare
    -- date_bin counts from a midnight in UTC, as time_bucket does.
    body constant text := $q$
        select device_no, operator_id, date_bin(%L::interval, at, timestamptz '2000-01-01 00:00:00+00') as bucket,
               count(*) as reports,
               count(distinct date_bin(interval '1 minute', at, timestamptz '2000-01-01 00:00:00+00'))::int
                   as online_minutes,
               min(battery_pct) as battery_min_pct, max(battery_pct) as battery_max_pct,
               (array_agg(battery_pct order by at desc) filter (where battery_pct is not null))[1] as battery_last_pct,
               (array_agg(lat_e7 order by at desc) filter (where lat_e7 is not null))[1] as lat_e7,
               (array_agg(lon_e7 order by at desc) filter (where lat_e7 is not null))[1] as lon_e7,
               min(units) as units_min, max(units) as units_max,
               (array_agg(units order by at desc) filter (where units is not null))[1] as units_last,
               min(spaces) as spaces_min, max(spaces) as spaces_max,
               (array_agg(spaces order by at desc) filter (where spaces is not null))[1] as spaces_last
        from report %s
        group by 1, 2, 3
    $q$;
begin
    execute 'create view report_1m as ' || format(body, interval '1 minute', '');
    execute 'create view report_1h as ' || format(body, interval '1 hour', '');
    execute 'create view report_1d as ' || format(body, interval '1 day', '');
    -- A condition on the bucket prunes no partition, one on the row time does: questions about one device come here.
    execute format($f$
        create function report_steps(of_device int, step text, from_at timestamptz, to_at timestamptz)
        returns setof report_1m language plpgsql stable as $body$
        begin
            return query execute format(%L,
                case step when '1m' then interval '1 minute' when '1h' then interval '1 hour'
                          when '1d' then interval '1 day' end,
                'where device_no = $1 and at >= $2 and at < $3')
            using of_device, from_at, to_at;
        end $body$
    $f$, body);
end $make$;
comment on function report_steps is 'The aggregate rows of one device: step is 1m, 1h or 1d; from and to on its borders.';
