-- What happened; a position happens once.
INSERT INTO history
SELECT * FROM json_populate_recordset(NULL::history, $1::json)
ON CONFLICT (position) DO NOTHING
