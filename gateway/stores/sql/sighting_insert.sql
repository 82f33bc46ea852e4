insert into unit_sighting (operator_id, unit_id, device_no, slot, at)
select device.operator_id, seen.unit_id, seen.device_no, seen.slot, to_timestamp(seen.at_ms / 1000.0)
from unnest(%(unit_ids)s::text[], %(device_nos)s::int[], %(slots)s::int[], %(at_ms)s::bigint[])
    with ordinality as seen (unit_id, device_no, slot, at_ms, place_in_batch)
join device using (device_no)
order by seen.place_in_batch
on conflict do nothing
