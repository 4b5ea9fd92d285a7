-- The position reached, if nobody else wrote since the one we know.
UPDATE position SET position = $2, origin = coalesce(origin, $3) WHERE position = $1
