-- Whether a problem is more than something missing, which the figures see.
SELECT EXISTS (
    SELECT 1 FROM problem
    WHERE digest IS NOT NULL AND code NOT IN ('manifest-missing', 'config-missing', 'layer-missing')
        OR code = 'link-whitespace')
