-- A power-on that has a boot number keeps it; a new one gets the next, at most once per second and device.
with asked as (
    select * from unnest(%(device_nos)s::int[], %(power_on_ids)s::bigint[]) as asked (device_no, power_on_id)
), known as (
    select device_boot.device_no, max(device_boot.boot) as boot, device_boot.power_on_id
    from device_boot join asked using (device_no, power_on_id)
    group by device_boot.device_no, device_boot.power_on_id
), waiting as (
    -- In one order, so that two gateways cannot wait for each other.
    select device.device_no, asked.power_on_id
    from device join asked using (device_no)
    where not exists (select from known where known.device_no = device.device_no)
    order by device.device_no
    for update of device
), given as (
    update device
    set boot = greatest(device.boot + 1, %(now_s)s), power_on_id = waiting.power_on_id, boot_given_ms = %(now_ms)s
    from waiting
    where device.device_no = waiting.device_no
      and device.power_on_id is distinct from waiting.power_on_id
      -- A time ahead of now is a clock that was set back: no reason to wait for it.
      and (device.boot_given_ms <= %(now_ms)s - 1000 or device.boot_given_ms > %(now_ms)s)
    returning device.device_no, device.boot, device.power_on_id, device.operator_id
), noted as (
    insert into device_boot (device_no, boot, power_on_id, given_at, operator_id)
    select device_no, boot, power_on_id, to_timestamp(%(now_ms)s / 1000.0), operator_id from given
)
select device_no, boot from known
union all
select device_no, boot from given
