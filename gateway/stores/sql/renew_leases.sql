-- Only for the number it was taken under: another owner in between, even of the same name, ended it.
with held as (
    select * from unnest(%(lanes)s::text[], %(lease_nos)s::bigint[]) as held (lane, lease_no)
), mine as (
    select lease.lane from lease join held using (lane, lease_no)
    where lease.owner = %(owner)s
    order by lease.lane
    for update of lease
)
update lease set expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
from mine where lease.lane = mine.lane
returning lease.lane
