-- Fills the staging table within one statement, where a COPY would wait for the server twice.
insert into latchkey_staging (device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7,
    accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm, frame)
select device_no, operator_id, boot, seq, to_timestamp(at_ms / 1000.0), to_timestamp(received_ms / 1000.0),
    clock_suspect, kept, lat_e7, lon_e7, accuracy_m, battery_pct, bolt, moving, units, spaces, signal_dbm,
    decode(frame, 'base64')
from json_to_recordset(%(rows)s::json) as given (device_no int, operator_id int, boot bigint, seq bigint, at_ms bigint,
    received_ms bigint, clock_suspect boolean, kept boolean, lat_e7 int, lon_e7 int, accuracy_m real,
    battery_pct smallint, bolt smallint, moving boolean, units smallint, spaces smallint, signal_dbm smallint, frame text)
