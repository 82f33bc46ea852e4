-- Another public id and marker for devices that still have the ones they were used under.
with waiting as (
    -- In one order, so that two gateways cannot wait for each other.
    select device_no, fresh.public_id, fresh.marker
    from unnest(%(device_nos)s::int[], %(used)s::text[], %(public_ids)s::text[], %(markers)s::int[])
        as fresh (device_no, used, public_id, marker)
    join device using (device_no)
    where device.public_id = fresh.used
    order by device_no
    for update of device
)
update device set public_id = waiting.public_id, marker = waiting.marker
from waiting where device.device_no = waiting.device_no
