-- What was received of these devices up to now is never read by a rebuild again. "Now" is the newest receipt, whichever
-- clock dated it: by another, reports of before might count, or those after it might not.
update last_report
set rebased_at = newest.received_at, saved_at = least(last_report.saved_at, newest.received_at)
from unnest(%(device_nos)s::int[]) as rebased (device_no)
cross join lateral (
    -- A report that is not late was received within the late window of its time: what is not looked at was received
    -- before the window.
    select greatest(max(received_at), now() - make_interval(secs => %(late_s)s)) as received_at from (
        select received_at from report
        where report.device_no = rebased.device_no and report.at >= now() - make_interval(secs => 2 * %(late_s)s)
        union all
        select received_at from history_late
        where history_late.device_no = rebased.device_no
          and history_late.received_at >= now() - make_interval(secs => %(late_s)s)
    ) either
) newest
where last_report.device_no = rebased.device_no
