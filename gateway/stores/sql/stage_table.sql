-- Where doubtful rows wait for a look at what is stored; one per connection, emptied by every commit.
create temp table latchkey_staging (like report) on commit delete rows;
