-- Build steps with a text in them.
SELECT id FROM build_step WHERE ({is_any} OR is_named(id)) AND created_by LIKE :pattern ESCAPE '\'
