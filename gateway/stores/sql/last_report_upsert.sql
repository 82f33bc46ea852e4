-- Ordered, so that two writers cannot wait for each other; a lower revision never replaces a higher one.
-- saved_at is when the state was taken, by the clock that dates reports, since a rebuild reads what was received after
-- it; never later than now, in case that clock is ahead and the next gateway's is not.
insert into last_report (device_no, operator_id, revision, state, saved_at)
select saved.device_no, device.operator_id, saved.revision, saved.state,
       least(clock_timestamp(), to_timestamp(saved.taken_ms / 1000.0))
from unnest(%(device_nos)s::int[], %(revisions)s::bigint[], %(states)b::bytea[], %(taken_ms)s::bigint[])
    as saved (device_no, revision, state, taken_ms)
join device using (device_no)
order by saved.device_no
on conflict (device_no) do update
    set revision = excluded.revision, state = excluded.state, saved_at = excluded.saved_at,
        operator_id = excluded.operator_id
    where last_report.revision <= excluded.revision
