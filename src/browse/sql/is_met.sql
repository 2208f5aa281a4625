(instr(lower(name || ' ' || detail), :filter) > 0 OR :digest <> '' AND substr(digest, 1, length(:digest)) = :digest)
