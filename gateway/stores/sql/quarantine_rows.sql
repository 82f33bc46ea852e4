-- As quarantine_insert, for rows that were decoded: the device is known by its number.
with kept as (
    select rows.*, device.operator_id, coalesce(device.device_id, rows.device_no::text) as device_id,
           row_number() over (partition by device_no order by place_in_batch) as nth
    from unnest(%(device_nos)s::int[], %(reasons)s::text[], %(places)s::text[],
                %(received_ms)s::bigint[], %(frames)b::bytea[], %(occurrences)s::int[])
        with ordinality as rows (device_no, reason, place, received_ms, frame, occurrence, place_in_batch)
    left join device using (device_no)
), held as (
    select first.device_id, (
        select count(*) from (
            select from quarantine
            where quarantine.device_id = first.device_id
              and quarantine.received_at > to_timestamp(first.received_ms / 1000.0) - interval '1 day'
              -- What is being replayed makes room, or what is still wrong with it could not come back.
              and quarantine.replay_marked_at is null
            limit %(share)s
        ) of_a_day
    ) as frames
    from (select device_id, min(received_ms) as received_ms from kept group by device_id) first
)
insert into quarantine (operator_id, device_id, topic, reason, place, received_at, frame, occurrence)
select kept.operator_id, kept.device_id, '', kept.reason, kept.place,
       to_timestamp(kept.received_ms / 1000.0), kept.frame, kept.occurrence
from kept join held using (device_id)
where kept.nth + held.frames <= %(share)s
order by kept.place_in_batch
on conflict do nothing
