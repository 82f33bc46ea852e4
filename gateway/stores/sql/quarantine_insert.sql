insert into quarantine (operator_id, device_id, topic, reason, place, received_at, frame, occurrence)
select device.operator_id, kept.device_id, kept.topic, kept.reason, kept.place,
       to_timestamp(kept.received_ms / 1000.0), kept.frame, kept.occurrence
from unnest(%(device_ids)s::text[], %(topics)s::text[], %(reasons)s::text[], %(places)s::text[],
            %(received_ms)s::bigint[], %(frames)b::bytea[], %(occurrences)s::int[])
    with ordinality as kept (device_id, topic, reason, place, received_ms, frame, occurrence, place_in_batch)
left join device on device.device_id = kept.device_id
order by kept.place_in_batch
on conflict do nothing
