-- After stage_looked: files every staged row whose stamp is nowhere stored. Answers with the stamps that are, and with
-- the stored frame where it is another one.
, filed as (
    insert into report (device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
        accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame)
    select device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
        accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame
    from looked where stored_frame is null and not is_late
), filed_late as (
    insert into history_late (device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
        accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame)
    select device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
        accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame
    from looked where stored_frame is null and is_late
)
select device_no, boot, seq, nullif(stored_frame, frame) from looked where stored_frame is not null
