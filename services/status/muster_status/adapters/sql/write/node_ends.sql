-- Nodes that left.
DELETE FROM node WHERE id = ANY ($1::uuid[])
