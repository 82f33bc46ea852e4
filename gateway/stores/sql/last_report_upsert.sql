-- Ordered, so that two writers cannot wait for each other; a lower revision never replaces a higher one.
insert into last_report (device_no, operator_id, revision, state, saved_at)
select saved.device_no, device.operator_id, saved.revision, saved.state, clock_timestamp()
from unnest(%(device_nos)s::int[], %(revisions)s::bigint[], %(states)b::bytea[])
    as saved (device_no, revision, state)
join device using (device_no)
order by saved.device_no
on conflict (device_no) do update
    set revision = excluded.revision, state = excluded.state, saved_at = excluded.saved_at,
        operator_id = excluded.operator_id
    where last_report.revision <= excluded.revision
