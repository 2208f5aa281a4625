-- The public views. `regsql schema` and docs/schema.md are read from this file: the comment under CREATE VIEW says what
-- a row is, the comment behind a column what the column is. They use no function that SQLite 3.40 lacks.
-- Where a digest may be missing, NULLIF keeps it NULL: hex(NULL) is an empty text.

CREATE VIEW scan_info AS
-- One row: the scan that made this snapshot.
SELECT
    root AS root, -- the registry's root directory, above `docker/registry/v2`
    strftime('%Y-%m-%dT%H:%M:%SZ', started_ns / 1000000000, 'unixepoch') AS started_at, -- when the scan began (UTC)
    strftime('%Y-%m-%dT%H:%M:%SZ', finished_ns / 1000000000, 'unixepoch') AS finished_at, -- when the snapshot was published (UTC)
    duration_ms AS duration_ms, -- how long the scan took, in milliseconds
    tool_version AS tool_version, -- the regsql that made it
    is_complete AS complete, -- 1: everything was read; 0: something could not be, so every figure means "at least"
    is_deep AS is_deep, -- 1: also looked for leftovers beside each blob and link (always for small storages, else `scan --deep`)
    is_pull_through AS is_pull_through_cache, -- 1: a pull-through cache, in which missing blobs are normal
    (SELECT disk_bytes FROM storage) AS disk_bytes, -- the size of the file system that holds the blobs; NULL: not known
    (SELECT disk_used_bytes FROM storage) AS disk_used_bytes, -- what was in use of it at the scan, by whatever
    (SELECT disk_free_bytes FROM storage) AS disk_free_bytes, -- what was free of it at the scan, for users other than root
    (SELECT proxy_url FROM storage) AS proxied_url, -- the registry behind it, as a configuration said
    scan_number AS scan_number, -- this scan's row in scan_history
    strftime('%Y-%m-%dT%H:%M:%SZ', (SELECT from_ns FROM pull_watch) / 1000000000, 'unixepoch') AS pulls_since, -- since when pulls are known without a gap (UTC); NULL: they are not
    strftime('%Y-%m-%dT%H:%M:%SZ', (SELECT to_ns FROM pull_watch) / 1000000000, 'unixepoch') AS pulls_until, -- until when pulls are known (UTC)
    COALESCE(a.authority, 'storage') AS authority, -- storage, roots or both: what keeps things (`scan --authority`)
    a.suspected AS suspected_authority, -- gitlab-database, harbor or unknown: what seems to hold references outside of the storage; NULL: nothing does
    COALESCE(a.roots_count, 0) AS roots_count, -- rows in roots
    strftime('%Y-%m-%dT%H:%M:%SZ', a.roots_ns / 1000000000, 'unixepoch') AS roots_at, -- when the oldest export of roots was written (UTC)
    s.noncurrent_version_count AS noncurrent_version_count, -- in a bucket: older versions and deleted contents of the registry's keys that the provider still keeps; NULL: not known
    s.noncurrent_version_bytes AS noncurrent_version_bytes, -- their bytes, in no other figure: what a deletion left in a bucket that keeps versions
    s.delete_marker_count AS delete_marker_count, -- markers of S3 that stand for deleted keys
    s.multipart_upload_count AS multipart_upload_count, -- multipart uploads of S3 below the registry's prefix that were begun and not ended
    s.multipart_upload_bytes AS multipart_upload_bytes, -- bytes of their parts; those of the registry's uploads are in uploads, too
    s.inventory AS inventory, -- the inventory that the scan read instead of listing the bucket; NULL: it listed
    strftime('%Y-%m-%dT%H:%M:%SZ', s.inventory_ns / 1000000000, 'unixepoch') AS inventory_at -- when the provider made that inventory: names, sizes and times are of then (UTC)
FROM scan
LEFT JOIN authority a ON a.id = scan.id
LEFT JOIN storage s ON s.id = scan.id;

CREATE VIEW blobs AS
-- Every blob that is on disk or named by a manifest or link.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest, -- `sha256:` and 64 hex digits, or another algorithm's digest
    b.kind AS kind, -- layer, config, manifest, index or unknown
    b.size_bytes AS size_bytes, -- bytes on disk; NULL when it is not there
    strftime('%Y-%m-%dT%H:%M:%SZ', b.modified_ns / 1000000000, 'unixepoch') AS modified_at, -- when its data was last written (UTC)
    CASE WHEN b.id NOT IN (SELECT blob_id FROM unknown_blob) THEN b.is_present END AS is_present, -- 1: its data is on disk; NULL: its place could not be read
    b.manifest_count AS manifest_count, -- manifests that name it
    b.repository_count AS repository_count, -- repositories that reach it
    b.tag_count AS tag_count, -- tags that reach it or keep it as part of a referrer, whatever their repository
    strftime('%Y-%m-%dT%H:%M:%SZ', b.verified_ns / 1000000000, 'unixepoch') AS verified_at, -- when its content was last hashed and found right (UTC)
    b.is_orphan AS is_orphan, -- 1: no revision, tag or unreadable root in any repository reaches it
    r.name AS only_repository, -- the one repository that reaches it, when there is just one
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM known_blob k WHERE k.blob_id = b.id) END AS is_known, -- 1: a root names or reaches it; NULL without roots
    (SELECT c.name FROM blob_storage_class x JOIN storage_class c ON c.id = x.class_id WHERE x.blob_id = b.id) AS storage_class -- in a bucket: as the provider calls it, like STANDARD or GLACIER
FROM blob b
LEFT JOIN repository r ON r.id = b.only_repository_id;

CREATE VIEW layers AS
-- Every blob that a manifest names as a layer.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest, -- the layer's digest
    m.name AS media_type, -- as the manifests declare it
    b.size_bytes AS size_bytes, -- bytes on disk (compressed); NULL when it is not there
    CASE WHEN b.id NOT IN (SELECT blob_id FROM unknown_blob) THEN b.is_present END AS is_present, -- 1: its data is on disk; NULL: its place could not be read
    b.manifest_count AS manifest_count, -- manifests that name it
    b.repository_count AS repository_count, -- repositories that reach it
    b.tag_count AS tag_count, -- tags that reach it or keep it as part of a referrer, whatever their repository
    s.created_by AS created_by, -- the build command behind it, from an image config's history
    r.name AS only_repository -- the one repository that reaches it, when there is just one
FROM blob b
LEFT JOIN media_type m ON m.id = b.layer_media_type_id
LEFT JOIN build_step s ON s.id = b.build_step_id
LEFT JOIN repository r ON r.id = b.only_repository_id
WHERE b.layer_media_type_id IS NOT NULL;

CREATE VIEW manifests AS
-- Every manifest that a revision, a tag or a kept index leads to.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest, -- the manifest's digest
    m.kind AS kind, -- image, index, artifact, schema1 or unknown
    t.name AS media_type, -- of the manifest itself
    a.name AS artifact_type, -- what an artifact says it is (its artifactType, or its config's media type)
    COALESCE(c.other_digest, 'sha256:' || NULLIF(lower(hex(c.hash)), '')) AS config_digest, -- its config blob
    COALESCE(s.other_digest, 'sha256:' || NULLIF(lower(hex(s.hash)), '')) AS subject_digest, -- the manifest it is about (a referrer's subject)
    m.layer_count AS layer_count, -- layers it names, each digest once
    m.logical_bytes AS logical_bytes, -- distinct present blobs it reaches, itself among them; without referrers
    m.os AS os, -- from the image config
    m.architecture AS architecture, -- from the image config
    strftime('%Y-%m-%dT%H:%M:%SZ', m.created_ns / 1000000000, 'unixepoch') AS created_at, -- from the image config, of an index the newest of its manifests (UTC)
    m.variant AS variant, -- from the image config
    b.size_bytes AS size_bytes, -- bytes of the manifest itself; NULL when it is not there
    m.is_readable AS is_readable -- 0: absent or not parseable, so what it names is unknown
FROM manifest m
JOIN blob b ON b.id = m.blob_id
LEFT JOIN media_type t ON t.id = m.media_type_id
LEFT JOIN media_type a ON a.id = m.artifact_type_id
LEFT JOIN blob c ON c.id = m.config_blob_id
LEFT JOIN blob s ON s.id = m.subject_blob_id
WHERE m.is_orphan = 0;

CREATE VIEW manifest_references AS
-- What each manifest names, in the order of its body.
SELECT
    COALESCE(o.other_digest, 'sha256:' || lower(hex(o.hash))) AS manifest_digest, -- the manifest that names
    r.position AS position, -- 0 for the first
    r.role AS role, -- config, layer, manifest, subject or blob
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS digest, -- what it names
    r.declared_bytes AS declared_bytes, -- the size that the manifest says
    t.name AS media_type, -- the media type that the manifest says
    r.platform AS platform, -- os/architecture[/variant] of an index entry
    CASE WHEN b.id NOT IN (SELECT blob_id FROM unknown_blob)
        THEN (b.is_present OR EXISTS (SELECT 1 FROM alias a JOIN blob x ON x.id = a.target_blob_id
        WHERE a.blob_id = b.id AND x.is_present)) END AS is_present, -- 1: it is on disk; NULL: its place could not be read
    r.is_external AS is_external -- 1: a foreign layer with urls, which the registry need not hold
FROM reference r
JOIN manifest m ON m.blob_id = r.manifest_id
JOIN blob o ON o.id = r.manifest_id
JOIN blob b ON b.id = r.blob_id
LEFT JOIN media_type t ON t.id = r.media_type_id
WHERE m.is_orphan = 0;

CREATE VIEW repositories AS
-- Every repository found on disk.
SELECT
    name AS repository, -- its name; bytes that are not UTF-8 are written \xHH
    tag_count AS tag_count, -- its tags
    revision_count AS revision_count, -- manifests linked in it
    untagged_revision_count AS untagged_revision_count, -- of those, the ones no tag leads to
    layer_link_count AS layer_link_count, -- links under its `_layers`
    logical_bytes AS logical_bytes, -- distinct present blobs it reaches
    exclusive_bytes AS exclusive_bytes, -- of those, reached by no other repository: what deleting it frees
    logical_bytes - exclusive_bytes AS shared_bytes, -- the rest: stays when it is deleted
    untagged_bytes AS untagged_bytes, -- freed by deleting its untagged revisions
    strftime('%Y-%m-%dT%H:%M:%SZ', last_pushed_ns / 1000000000, 'unixepoch') AS last_pushed_at, -- the newest revision or tag link (UTC)
    upload_count AS upload_count, -- uploads begun and not finished
    is_held AS is_held, -- 1: something in it cannot be read, so nothing in it is called garbage
    NOT EXISTS (SELECT 1 FROM repository_without_tags w WHERE w.repository_id = repository.id) AS has_tags_directory -- 1: it has a `_manifests/tags`, so it had a tag once
FROM repository;

CREATE VIEW tags AS
-- Every tag.
SELECT
    r.name AS repository, -- the repository
    t.name AS tag, -- the tag
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS manifest_digest, -- what it points at; NULL when its link is missing or unreadable
    strftime('%Y-%m-%dT%H:%M:%SZ', t.pushed_ns / 1000000000, 'unixepoch') AS pushed_at, -- when it was last set (UTC)
    t.logical_bytes AS logical_bytes, -- distinct present blobs it reaches, those of referrers among them
    t.exclusive_bytes AS exclusive_bytes, -- freed by deleting this tag alone and all that it leaves unreferenced
    t.layer_count AS layer_count, -- distinct layers it reaches
    CASE t.is_broken WHEN 3 THEN NULL ELSE t.is_broken <> 0 END AS is_broken, -- 1: it cannot be pulled whole; NULL: part of it could not be read; wrong content is known after `verify --content`
    t.version_key AS version_key, -- sorts tags as versions; NULL when the tag is not a version
    m.kind AS kind, -- the kind of the manifest it points at
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM known_tag k WHERE k.tag_id = t.id) END AS is_known, -- 1: a root names it; NULL without roots
    COALESCE(c.class, CASE WHEN t.version_key IS NULL THEN 'name' ELSE 'version' END) AS class, -- what its name says: version (also a date or build number), commit, referrer (belongs to the image it names) or name
    c.subject_digest AS subject_digest, -- the image that a referrer's tag names; NULL when the name holds a part of the digest only
    strftime('%Y-%m-%dT%H:%M:%SZ', m.created_ns / 1000000000, 'unixepoch') AS created_at, -- when its image was built, as its config says (UTC)
    strftime('%Y-%m-%dT%H:%M:%SZ', (SELECT p.pulled_ns FROM tag_pull p WHERE p.tag_id = t.id) / 1000000000, 'unixepoch') AS last_pulled_at -- when it was last pulled, by name or by digest, as logs, notifications and roots say (UTC); NULL: not since scan_info.pulls_since
FROM tag t
JOIN repository r ON r.id = t.repository_id
LEFT JOIN blob b ON b.id = t.manifest_id
LEFT JOIN manifest m ON m.blob_id = t.manifest_id
LEFT JOIN tag_class c ON c.tag_id = t.id;

CREATE VIEW tag_history AS
-- Every digest that a tag points at or is remembered to have pointed at.
SELECT
    r.name AS repository, -- the repository
    t.name AS tag, -- the tag
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest, -- what it points or pointed at
    e.is_current AS is_current, -- 1: it points there now
    strftime('%Y-%m-%dT%H:%M:%SZ', e.linked_ns / 1000000000, 'unixepoch') AS linked_at -- when it was last made to point there (UTC)
FROM tag_entry e
JOIN tag t ON t.id = e.tag_id
JOIN repository r ON r.id = t.repository_id
JOIN blob b ON b.id = e.blob_id;

CREATE VIEW revisions AS
-- Every manifest linked in a repository.
SELECT
    r.name AS repository, -- the repository
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS manifest_digest, -- the manifest
    v.is_tagged AS is_tagged, -- 1: a tag of this repository leads to it, or it refers to something that is tagged
    strftime('%Y-%m-%dT%H:%M:%SZ', v.pushed_ns / 1000000000, 'unixepoch') AS pushed_at, -- when it was last pushed (UTC)
    v.logical_bytes AS logical_bytes, -- distinct present blobs it reaches, those of referrers among them
    v.exclusive_bytes AS exclusive_bytes, -- freed by deleting it, its tags, and all that it leaves unreferenced
    v.is_held AS is_held, -- 1: not tagged, and kept all the same: a root names it or leads to it, or something in the repository cannot be read
    m.kind AS kind, -- the kind of manifest
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM root_revision o
        WHERE o.repository_id = v.repository_id AND o.blob_id = v.blob_id) END AS is_root, -- 1: a root names it in this repository or without one; NULL without roots
    EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = v.blob_id AND t.repository_id = v.repository_id)
        OR EXISTS (SELECT 1 FROM tagged_before t WHERE t.repository_id = v.repository_id AND t.blob_id = v.blob_id) AS was_tagged, -- 1: a tag of this repository points or pointed at it
    strftime('%Y-%m-%dT%H:%M:%SZ', (SELECT p.pulled_ns FROM revision_pull p WHERE p.repository_id = v.repository_id AND p.blob_id = v.blob_id) / 1000000000, 'unixepoch') AS last_pulled_at -- when it was last pulled, as logs, notifications and roots say (UTC); NULL: not since scan_info.pulls_since
FROM revision v
JOIN repository r ON r.id = v.repository_id
JOIN blob b ON b.id = v.blob_id
LEFT JOIN manifest m ON m.blob_id = v.blob_id;

CREATE VIEW pulls AS
-- Pulls that an access log or the registry's notifications name, by what was asked for.
SELECT
    p.repository AS repository, -- the repository
    p.reference AS reference, -- the tag or digest that was asked for
    NULLIF(p.manifest_digest, '') AS manifest_digest, -- what was pulled; NULL when the source does not say
    strftime('%Y-%m-%dT%H:%M:%SZ', p.last_pulled_ns / 1000000000, 'unixepoch') AS last_pulled_at, -- the newest pull (UTC)
    p.pull_count AS pull_count, -- pulls counted
    strftime('%Y-%m-%dT%H:%M:%SZ', (
        SELECT MAX(c.from_ns) FROM pull_coverage c WHERE c.from_ns <= p.last_pulled_ns
    ) / 1000000000, 'unixepoch') AS since -- since when pulls are known without a gap before that (UTC)
FROM pull p;

CREATE VIEW layer_links AS
-- Every link under a repository's `_layers`: what the repository may serve.
SELECT
    r.name AS repository, -- the repository
    COALESCE(l.other_digest, 'sha256:' || lower(hex(l.hash))) AS link_digest, -- the digest that the link's directory names
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS blob_digest, -- the blob that the link resolves to
    strftime('%Y-%m-%dT%H:%M:%SZ', k.linked_ns / 1000000000, 'unixepoch') AS linked_at, -- when it was last written (UTC)
    CASE WHEN k.blob_id NOT IN (SELECT blob_id FROM unknown_blob) THEN k.is_dangling END AS is_dangling, -- 1: the blob is gone; NULL: its place could not be read
    k.is_needed AS is_needed -- 1: a revision, tag or unreadable root of this repository needs it
FROM layer_link k
JOIN repository r ON r.id = k.repository_id
JOIN blob l ON l.id = k.link_blob_id
JOIN blob b ON b.id = k.blob_id;

CREATE VIEW uploads AS
-- Every upload that was begun and not finished.
SELECT
    r.name AS repository, -- the repository
    u.upload_id AS upload_id, -- the upload's directory name
    u.size_bytes AS size_bytes, -- bytes received so far
    strftime('%Y-%m-%dT%H:%M:%SZ', u.started_ns / 1000000000, 'unixepoch') AS started_at, -- from its `startedat`; NULL when that cannot be read (UTC)
    strftime('%Y-%m-%dT%H:%M:%SZ', u.active_ns / 1000000000, 'unixepoch') AS active_at -- the newest of `startedat` and its files' times (UTC)
FROM upload u
JOIN repository r ON r.id = u.repository_id;

CREATE VIEW orphan_blobs AS
-- Every blob that is present and that no revision, tag or unreadable root in any repository reaches.
SELECT
    COALESCE(b.other_digest, 'sha256:' || lower(hex(b.hash))) AS blob_digest, -- the blob
    b.kind AS kind, -- layer, config, manifest, index or unknown, as far as orphan manifests say
    b.size_bytes AS size_bytes, -- bytes on disk
    strftime('%Y-%m-%dT%H:%M:%SZ', b.modified_ns / 1000000000, 'unixepoch') AS modified_at, -- when its data was last written (UTC)
    CASE WHEN (SELECT roots_count > 0 FROM authority) THEN EXISTS (SELECT 1 FROM known_blob k WHERE k.blob_id = b.id) END AS is_known -- 1: a root names or reaches it; NULL without roots
FROM blob b
WHERE b.is_orphan = 1;

CREATE VIEW problems AS
-- Every fault found; `docs/findings.md` says of each code what it breaks and what to do.
SELECT
    code AS code, -- a stable kebab-case name
    severity AS severity, -- error: an image is broken or nothing may be deleted; warning: look at it; info: harmless
    repository AS repository, -- the repository it is in, if it is in one
    digest AS digest, -- the digest it is about, if it is about one
    path AS path, -- where, below scan_info.root
    detail AS detail -- what was found, in words
FROM problem;

CREATE VIEW unreadable_roots AS
-- What is kept, and never called garbage, because something could not be read.
SELECT
    u.scope AS scope, -- storage: every blob; manifests: every blob that is a manifest or begins like one, and all that the repository links; repository: all that it links; blob: one blob
    r.name AS repository, -- the repository, if it is about one
    COALESCE(b.other_digest, 'sha256:' || NULLIF(lower(hex(b.hash)), '')) AS digest, -- the digest, if it is about one
    u.code AS code, -- the problem behind it
    u.path AS path -- where, below scan_info.root
FROM unreadable_root u
LEFT JOIN repository r ON r.id = u.repository_id
LEFT JOIN blob b ON b.id = u.blob_id;

CREATE VIEW authority_evidence AS
-- Signs that something outside of the storage holds references to it (`regsql report authority`).
SELECT
    code AS code, -- a stable kebab-case name
    count AS count, -- how many things show it
    of_count AS of, -- of how many
    example AS example -- one of them: a repository, digest or path
FROM evidence;

CREATE VIEW roots AS
-- Every reference that an export given with `scan --roots` holds.
SELECT
    s.path AS source, -- the file
    o.line AS line, -- its line, or the item's number in JSON
    o.kind AS kind, -- manifest: kept with all it names; blob: kept itself; manifest-elsewhere: not expected on disk
    n.name AS repository, -- the repository; NULL: wherever it lies
    o.tag AS tag, -- the tag, if it has one
    COALESCE(o.other_digest, 'sha256:' || NULLIF(lower(hex(o.hash)), '')) AS digest, -- the digest; NULL when only a tag is named
    o.size_bytes AS size_bytes, -- as the export says
    strftime('%Y-%m-%dT%H:%M:%SZ', o.pushed_ns / 1000000000, 'unixepoch') AS pushed_at, -- as the export says (UTC)
    strftime('%Y-%m-%dT%H:%M:%SZ', o.pulled_ns / 1000000000, 'unixepoch') AS pulled_at, -- last pull, as the export says (UTC)
    COALESCE((SELECT b.is_found FROM root_blob b WHERE b.root_id = o.id), 0) AS is_found -- 1: its blob is on disk, or its tag is
FROM root_row o
JOIN root_source s ON s.id = o.source_id
LEFT JOIN root_repository n ON n.id = o.repository_id;

CREATE VIEW reclaimable AS
-- What comes free without dropping a tag, by class. Nothing is in two classes, so the sums of the columns are true.
-- Where something outside of the storage holds references, only that can judge: nothing of a class goes now.
WITH limits (day_ns, week_ns, hides_tags, hides_manifests) AS (
    SELECT
        s.finished_ns - 86400000000000,
        s.finished_ns - 7 * 86400000000000,
        COALESCE((SELECT MAX(hides_tags) FROM authority), 0),
        COALESCE((SELECT MAX(hides_manifests) FROM authority), 0)
    FROM scan s
)
SELECT
    'orphan blobs' AS class, -- orphan blobs, stale uploads or untagged revisions
    COALESCE((SELECT value FROM total WHERE name = 'orphan_blob_count'), 0) AS item_count, -- how many there are
    COALESCE((SELECT value FROM total WHERE name = 'orphan_bytes'), 0) AS size_bytes, -- freed by deleting all of them
    COALESCE((
        SELECT CAST(SUM(h.size_bytes * 1.0) AS INTEGER) FROM limits l CROSS JOIN reclaimable_hour h
        WHERE h.class = 'orphan' AND h.touched_ns <= l.day_ns AND NOT l.hides_manifests), 0) AS now_bytes -- of those, written and linked at least 24 hours before the scan (uploads: idle for 7 days), so that `regsql prune` takes them now
UNION ALL
SELECT
    'stale uploads',
    COUNT(*),
    COALESCE(CAST(SUM(u.size_bytes * 1.0) AS INTEGER), 0),
    COALESCE(CAST(SUM(u.size_bytes * 1.0) AS INTEGER), 0)
FROM limits l
JOIN upload u ON u.active_ns <= l.week_ns
UNION ALL
SELECT
    'untagged revisions',
    COALESCE((SELECT value FROM total WHERE name = 'untagged_revision_count'), 0),
    COALESCE((SELECT value FROM total WHERE name = 'untagged_bytes'), 0),
    COALESCE((
        SELECT CAST(SUM(h.size_bytes * 1.0) AS INTEGER) FROM limits l CROSS JOIN reclaimable_hour h
        WHERE h.class = 'untagged' AND h.touched_ns <= l.day_ns AND NOT l.hides_tags), 0);

CREATE VIEW disk_use AS
-- What the storage takes of its disk, by what it is. No rows where it has no disk of its own.
SELECT
    what AS what, -- blobs, links, uploads, trash (all of .regsql), strays (what no registry wrote) or directories
    item_count AS item_count, -- files; for directories, directories
    size_bytes AS size_bytes, -- sizes of the files together; NULL for directories
    disk_bytes AS disk_bytes, -- their blocks: fewer where files are sparse or compressed, more where they are small
    hard_linked_bytes AS hard_linked_bytes, -- of disk_bytes, of files with more than one name: removing one name frees nothing
    is_complete AS is_complete -- 0: more lies there than was looked at
FROM used_space;

CREATE VIEW totals AS
-- Figures about the whole storage, by name.
SELECT
    name AS name, -- what is counted; a name that ends in _bytes is in bytes
    value AS value -- the figure
FROM total
UNION ALL
-- Uploads without a sign of life for 7 days.
SELECT 'stale_upload_count', item_count FROM reclaimable WHERE class = 'stale uploads'
UNION ALL
SELECT 'stale_upload_bytes', size_bytes FROM reclaimable WHERE class = 'stale uploads'
UNION ALL
-- What `regsql prune --garbage` frees, and what of it now.
SELECT 'garbage_bytes', CAST(SUM(size_bytes * 1.0) AS INTEGER) FROM reclaimable WHERE class <> 'untagged revisions'
UNION ALL
SELECT 'garbage_now_bytes', CAST(SUM(now_bytes * 1.0) AS INTEGER) FROM reclaimable WHERE class <> 'untagged revisions'
UNION ALL
-- What comes free without dropping a tag: that and the untagged revisions.
SELECT 'reclaimable_bytes', CAST(SUM(size_bytes * 1.0) AS INTEGER) FROM reclaimable
UNION ALL
SELECT 'reclaimable_now_bytes', CAST(SUM(now_bytes * 1.0) AS INTEGER) FROM reclaimable;

CREATE VIEW scan_history AS
-- One row for each scan that went into this database, the current one last.
SELECT
    scan_number AS scan_number, -- 1 for the first
    strftime('%Y-%m-%dT%H:%M:%SZ', started_ns / 1000000000, 'unixepoch') AS started_at, -- (UTC)
    strftime('%Y-%m-%dT%H:%M:%SZ', finished_ns / 1000000000, 'unixepoch') AS finished_at, -- (UTC)
    duration_ms AS duration_ms, -- milliseconds
    is_complete AS complete, -- 0: something could not be read
    blob_count AS blob_count, -- blobs on disk
    blob_bytes AS blob_bytes, -- their bytes
    repository_count AS repository_count, -- repositories
    tag_count AS tag_count, -- tags
    revision_count AS revision_count, -- revisions
    untagged_revision_count AS untagged_revision_count, -- of those, untagged
    orphan_blob_count AS orphan_blob_count, -- orphan blobs
    orphan_bytes AS orphan_bytes, -- their bytes
    untagged_bytes AS untagged_bytes, -- freed by deleting all untagged revisions
    problem_count AS problem_count, -- rows in problems
    root AS root, -- the storage that was scanned
    tool_version AS tool_version -- the regsql that scanned
FROM past_scan;

CREATE VIEW repository_history AS
-- One row for each repository in each scan.
SELECT
    s.scan_number AS scan_number, -- the scan
    strftime('%Y-%m-%dT%H:%M:%SZ', s.finished_ns / 1000000000, 'unixepoch') AS finished_at, -- when that scan was published (UTC)
    p.name AS repository, -- the repository
    p.tag_count AS tag_count, -- its tags then
    p.revision_count AS revision_count, -- its revisions then
    p.untagged_revision_count AS untagged_revision_count, -- of those, untagged
    p.logical_bytes AS logical_bytes, -- distinct present blobs it reached
    p.exclusive_bytes AS exclusive_bytes, -- reached by no other repository
    p.untagged_bytes AS untagged_bytes -- freed by deleting its untagged revisions
FROM past_repository p
JOIN past_scan s ON s.scan_number BETWEEN p.first_scan AND p.last_scan;
