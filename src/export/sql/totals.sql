-- Figures about the whole storage, by name.
SELECT name, value FROM totals
