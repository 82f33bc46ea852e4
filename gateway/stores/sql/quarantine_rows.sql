-- As quarantine_insert, for rows that were decoded: the device is known by its number.
insert into quarantine (operator_id, device_id, topic, reason, place, received_at, frame, occurrence)
select device.operator_id, coalesce(device.device_id, kept.device_no::text), '', kept.reason, kept.place,
       to_timestamp(kept.received_ms / 1000.0), kept.frame, kept.occurrence
from unnest(%(device_nos)s::int[], %(reasons)s::text[], %(places)s::text[],
            %(received_ms)s::bigint[], %(frames)b::bytea[], %(occurrences)s::int[])
    with ordinality as kept (device_no, reason, place, received_ms, frame, occurrence, place_in_batch)
left join device using (device_no)
order by kept.place_in_batch
on conflict do nothing
