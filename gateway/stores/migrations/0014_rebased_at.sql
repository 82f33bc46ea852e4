-- Up to where history does not count for a device whose numbering a person let begin anew: as received_at of reports.

alter table last_report add column rebased_at timestamptz not null default '-infinity';
