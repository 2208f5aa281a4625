SELECT id, hash, other_digest, CASE WHEN is_present THEN size_bytes END, layer_media_type_id IS NOT NULL,
    may_be_manifest, MAX(modified_ns, changed_ns)
FROM blob
ORDER BY id
