-- What a manifest is about, when something in the snapshot knows that digest.
SELECT subject_blob_id FROM manifest WHERE blob_id = :blob AND subject_blob_id IS NOT NULL
