-- What differs from the last snapshot, of which this is a copy; the small tables as a whole.
INSERT OR REPLACE INTO main.media_type SELECT * FROM side.media_type;
INSERT OR REPLACE INTO main.build_step SELECT * FROM side.build_step;
INSERT OR REPLACE INTO main.reference SELECT * FROM side.reference;
INSERT OR REPLACE INTO main.referenced_by SELECT * FROM side.referenced_by;
INSERT INTO main.alias SELECT * FROM side.alias;
INSERT INTO main.base_image SELECT * FROM side.base_image;
INSERT INTO main.changing_step SELECT * FROM side.changing_step;
