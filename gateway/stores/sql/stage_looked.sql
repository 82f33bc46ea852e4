-- The beginning of the statements that file staged rows: which of their stamps are stored, with which frame, and which
-- rows belong into history_late. Staged stamps are distinct.
with looked as materialized (
    select staged.*,
           coalesce(on_time.frame, too_late.frame) as stored_frame,
           staged.at < staged.received_at - make_interval(secs => %(late_s)s)
               or staged.at > staged.received_at + make_interval(secs => %(ahead_s)s) as is_late
    from (select *,
                 case when boot > 0 then to_timestamp(least(boot, 4102444800)) else least(at, received_at) end as earliest,
                 case when boot > 0 then to_timestamp(least(boot, 4102444800)) else greatest(at, received_at) end as latest
          from latchkey_staging) staged
    left join lateral (
        select report.frame
        from report
        where report.device_no = staged.device_no and report.boot = staged.boot and report.seq = staged.seq
          -- The first pair lets the plan leave partitions out, the second the execution, row by row.
          and report.at between %(from_at)s and %(to_at)s
          and report.at >= staged.earliest - make_interval(secs => %(reach_s)s)
          and report.at <= staged.latest + make_interval(secs => %(reach_s)s)
        limit 1
    ) on_time on true
    left join lateral (
        select history_late.frame
        from history_late
        where history_late.device_no = staged.device_no and history_late.boot = staged.boot
          and history_late.seq = staged.seq
    ) too_late on true
)
