-- Of every device of a shard: the rows that its saved state does not know of yet, in the order they were received.
with base as (
    select device.device_no,
           coalesce(last_report.saved_at, now() - make_interval(secs => %(raw_s)s)) as since,
           coalesce(last_report.rebased_at, '-infinity') as rebased_at
    from device left join last_report using (device_no)
    where device.shard = %(shard)s
)
select found.*
from base
cross join lateral (
    select * from (
        (select device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
                accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame
         from report
         where report.device_no = base.device_no
           -- What was received since then happened at most the late window before; the margin is for clocks that
           -- disagree and for what waited long before it was stored.
           and report.at >= base.since - make_interval(secs => %(margin_s)s + %(late_s)s)
           and report.received_at >= base.since - make_interval(secs => %(margin_s)s)
           and report.received_at > base.rebased_at
         order by report.boot desc, report.seq desc
         limit %(rows)s)
        union all
        (select device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
                accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame
         from history_late
         where history_late.device_no = base.device_no
           and history_late.received_at >= base.since - make_interval(secs => %(margin_s)s)
           and history_late.received_at > base.rebased_at
         order by history_late.boot desc, history_late.seq desc
         limit %(rows)s)
    ) either
) found
order by found.device_no, found.received_at, found.boot, found.seq
