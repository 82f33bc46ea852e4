-- A lane goes to the name that has it, to anybody once it is free or expired; each taking has a number of its own.
insert into lease (lane, owner, lease_no, expires_at)
select lane, %(owner)s, 1, clock_timestamp() + make_interval(secs => %(lease_s)s)
from unnest(%(lanes)s::text[]) as lane
order by lane
on conflict (lane) do update
    set owner = excluded.owner, lease_no = lease.lease_no + 1, expires_at = excluded.expires_at
    where lease.owner = excluded.owner or lease.expires_at < clock_timestamp()
returning lane, lease_no
