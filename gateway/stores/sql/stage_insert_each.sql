-- After stage_looked: as stage_insert, each row for itself. Answers also with the stamps of rows that PostgreSQL refuses,
-- and with its word against each.
, filed as materialized (
    select device_no, boot, seq, stored_frame, nullif(stored_frame, frame) as other_frame,
           case when stored_frame is null then latchkey_file_row(
               row(device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
                   accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame)::report, is_late)
           end as refused
    from looked
)
select device_no, boot, seq, other_frame, refused from filed where stored_frame is not null or refused is not null
