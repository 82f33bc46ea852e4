-- One row, filed for itself: a batch in which PostgreSQL refuses rows is stored without them, in one statement.
-- Answers with PostgreSQL's word against the row, null when it is filed.
create function latchkey_file_row(filed report, is_late boolean) returns text language plpgsql as $$
begin
    if is_late then
        insert into history_late select (filed).*;
    else
        insert into report select (filed).*;
    end if;
    return null;
exception
    -- Another gateway filed the stamp in this very instant: nothing is wrong with the row.
    when unique_violation then
        raise;
    -- What is about the row. All else (locks, deadlines, disk, memory) is about the moment and ends the statement.
    when data_exception or integrity_constraint_violation or raise_exception then
        return sqlerrm;
end $$;
