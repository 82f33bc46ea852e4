-- Another public id and marker for devices that have no newer one than they were used under. A row that somebody holds,
-- and a marker that is another's, are left for the next time: nobody waits here for others.
with waiting as (
    select device.device_no, fresh.public_id, fresh.marker
    from unnest(%(device_ids)s::text[], %(used_nos)s::int[], %(public_ids)s::text[], %(markers)s::int[])
        as fresh (device_id, used_no, public_id, marker)
    join device using (device_id)
    where device.public_id_no <= fresh.used_no
      and not exists (select from device as other where other.marker = fresh.marker)
    order by device.device_no
    for update of device skip locked
)
update device set public_id = waiting.public_id, marker = waiting.marker
from waiting where device.device_no = waiting.device_no
