//! Every form that is read, and everything that is refused.

use super::{Batch, Form, Input, RootKind, RootsError, Source};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn read(text: &str) -> Result<(Source, Batch), RootsError> {
    let mut batch = Batch::default();
    let source = Input::of_text("roots", text).read(&mut |row| batch.push(row))?;
    Ok((source, batch))
}

fn refused(text: &str) -> String {
    read(text).map(|(source, _)| source).unwrap_err().to_string()
}

/// `kind repository:tag@digest`, one for each row.
fn rows_of((_, batch): &(Source, Batch)) -> Vec<String> {
    let rows = batch.rows().map(|row| {
        format!(
            "{} {}:{}@{}",
            row.kind.as_str(),
            row.repository.unwrap_or_default(),
            row.tag.unwrap_or_default(),
            row.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        )
    });
    rows.collect()
}

#[test]
fn what_psql_copies_is_read_with_gitlabs_digests() {
    let text = format!(
        "repository,tag,digest,kind,size_bytes,pushed_at,pulled_at\n\
         library/web,latest,sha256:{HEX},,,2026-01-15 08:00:00.5+00,2026-01-16T08:00:00Z\n\
         library/web,,01{HEX},manifest-elsewhere,17,,0001-01-01 00:00:00\n\
         ,,\\x01{HEX},blob,9,,\n\
         ,,{HEX},blob,,,\n"
    );
    let roots = read(&text).unwrap();
    assert_eq!(roots.0.form, Form::Csv);
    assert!(roots.0.has_blobs && roots.0.has_manifests_elsewhere && roots.0.has_pulls);
    assert_eq!(
        rows_of(&roots),
        [
            format!("manifest library/web:latest@sha256:{HEX}"),
            format!("manifest-elsewhere library/web:@sha256:{HEX}"),
            format!("blob :@sha256:{HEX}"),
            format!("blob :@sha256:{HEX}"),
        ]
    );
    let rows: Vec<_> = roots.1.rows().collect();
    assert_eq!(rows[0].line, 2);
    assert_eq!(rows[0].pushed_ns, Some(1_768_464_000_500_000_000));
    assert_eq!(rows[1].size_bytes, Some(17));
    let tabs = text.replace(',', "\t");
    assert_eq!(rows_of(&read(&tabs).unwrap()), rows_of(&roots));
}

#[test]
fn half_a_table_is_refused_with_its_line() {
    let whole = format!("repository,tag,digest\na/b,1,sha256:{HEX}\na/c,2,sha256:{HEX}\n");
    assert_eq!(read(&whole).unwrap().0.row_count, 2);
    // Wherever it is cut, but at the end of a line, it is seen to be cut.
    let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
    for end in (ends[0]..whole.len()).filter(|end| !ends.contains(end)) {
        assert!(read(&whole[..end]).is_err(), "cut at {end}");
    }
    assert!(matches!(read(&whole[..ends[0]]), Err(RootsError::Empty { .. })));
    for (wrong, expected) in [
        ("a/b,1,sha256:abc\n", "roots:2: `sha256:abc` is no digest"),
        ("A/b,1,\n", "roots:2: `A/b` is no repository"),
        (",,\n", "roots:2: it has neither a digest nor a repository with a tag"),
    ] {
        assert_eq!(refused(&format!("repository,tag,digest\n{wrong}")), expected);
    }
    let error = refused("repository,digest,owner\n");
    assert!(error.starts_with("roots:1: `owner` is no column of roots"), "{error}");
}

#[test]
fn what_oc_prints_is_read() {
    let layer = "ab".repeat(32);
    let images = format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":""}},"items":[
        {{"apiVersion":"image.openshift.io/v1","kind":"Image","metadata":{{"name":"sha256:{HEX}"}},
         "dockerImageMetadata":{{"Id":"sha256:{layer}"}},
         "dockerImageLayers":[{{"name":"sha256:{layer}","size":7}}]}}]}}"#
    );
    assert_eq!(
        rows_of(&read(&images).unwrap()),
        [
            format!("manifest :@sha256:{HEX}"),
            format!("blob :@sha256:{layer}"),
            format!("blob :@sha256:{layer}"),
        ]
    );
    let streams = format!(
        r#"{{"kind":"ImageStreamList","items":[{{"kind":"ImageStream","metadata":{{"namespace":"a","name":"x"}},
        "status":{{"tags":[{{"tag":"1","items":[{{"image":"sha256:{HEX}"}},{{"image":"sha256:{layer}"}}]}}]}}}}]}}"#
    );
    assert_eq!(
        rows_of(&read(&streams).unwrap()),
        [format!("manifest a/x:1@sha256:{HEX}"), format!("manifest a/x:@sha256:{layer}")]
    );
}

#[test]
fn thousands_of_pods_as_kubectl_prints_them_are_read() {
    let pod = |at: usize| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","spec":{{"containers":[{{"image":"reg.example.com/team/app{at}:v1","imagePullPolicy":"Always"}}]}},
            "status":{{"containerStatuses":[{{"image":"x","imageID":"reg.example.com/team/app{at}@sha256:{HEX}"}},{{"image":"y","imageID":""}}]}}}}"#
        )
    };
    let pods: Vec<String> = (0..3000).map(pod).collect();
    let list = format!(r#"{{"apiVersion":"v1","items":[{}],"kind":"List"}}"#, pods.join(","));
    let roots = read(&list).unwrap();
    assert_eq!(roots.0.row_count, 4 * 3000);
    assert_eq!(rows_of(&roots)[0], "manifest reg.example.com/team/app0:v1@");
    assert_eq!(roots.1.rows().last().unwrap().line, 3000);
    assert!(roots.1.rows().all(|root| root.kind == RootKind::Manifest));
    // Wherever the answer breaks off, nothing of it counts.
    for end in (1..list.len()).step_by(list.len() / 10) {
        assert!(read(&list[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn answers_that_are_no_list_of_objects_are_refused() {
    for (text, expected) in [
        (r#"{"kind":"Status","status":"Failure"}"#, "holds a Status"),
        (
            r#"{"kind":"PodList","metadata":{"continue":"abc"},"items":[{"image":"a:1"}]}"#,
            "one page",
        ),
        (r#"{"kind":"List","items":[]}"#, "holds no item"),
        (r#"{"kind":"PodList","items":[{"kind":"Pod"}]}"#, "names nothing"),
        (r#"{"kind":"Pod","spec":{"image":"A B"}}"#, "is no image reference"),
        ("{}", "names nothing"),
        ("", "names nothing"),
        ("# only a comment\n", "names nothing"),
        ("e3b0c44298fc", "a cut digest"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_image_of_docker_io_is_looked_for_in_library_too() {
    let reference = super::reference("mirror.example.com/proxy/nginx:1.25").unwrap();
    let readings: Vec<String> = reference.readings().map(|(path, _)| path.into_owned()).collect();
    let expected = ["mirror.example.com/proxy/nginx", "proxy/nginx", "nginx", "library/nginx"];
    assert_eq!(readings, expected);
}

#[test]
fn what_the_commands_of_the_docs_print_is_read() {
    let pinned = format!("reg.example.com:5000/team/app@sha256:{HEX}");
    let digest = format!("manifest :@sha256:{HEX}");
    for (who, text, expected) in [
        (
            "Knative",
            format!(
                r#"{{"kind":"List","items":[{{"kind":"Revision","status":{{"containerStatuses":[{{"name":"a","imageDigest":"{pinned}"}}]}}}}]}}"#
            ),
            vec![digest.clone()],
        ),
        (
            "Argo Rollouts",
            r#"{"kind":"List","items":[{"kind":"Rollout","spec":{"template":{"spec":{"containers":[{"image":"team/app:1"}]}}}}]}"#.into(),
            vec!["manifest team/app:1@".into()],
        ),
        (
            "an operator's ClusterServiceVersion",
            format!(
                r#"{{"kind":"List","items":[{{"kind":"ClusterServiceVersion","metadata":{{"annotations":{{"containerImage":"team/op:1"}}}},
                "spec":{{"relatedImages":[{{"name":"x","image":"{pinned}"}}],"env":[{{"name":"RELATED_IMAGE_X","value":"team/x:2"}},{{"name":"Y","value":"1"}}]}}}}]}}"#
            ),
            vec!["manifest team/op:1@".into(), "manifest team/x:2@".into(), digest.clone()],
        ),
        (
            "a volume that is an image",
            r#"{"kind":"Pod","spec":{"volumes":[{"name":"v","image":{"reference":"team/data:3","pullPolicy":"Always"}}]}}"#.into(),
            vec!["manifest team/data:3@".into()],
        ),
        (
            "OpenShift's builds and DeploymentConfigs",
            format!(
                r#"{{"kind":"List","items":[{{"kind":"BuildConfig","spec":{{"strategy":{{"from":{{"kind":"DockerImage","name":"team/builder:1"}}}}}}}},
                {{"kind":"DeploymentConfig","spec":{{"triggers":[{{"imageChangeParams":{{"from":{{"kind":"ImageStreamTag","name":"app:1"}},"lastTriggeredImage":"{pinned}"}}}}]}}}}]}}"#
            ),
            vec!["manifest team/builder:1@".into(), digest.clone()],
        ),
        (
            "Swarm's services, also those before an update, in two answers",
            format!(
                r#"[{{"Spec":{{"TaskTemplate":{{"ContainerSpec":{{"Image":"team/app:2@sha256:{HEX}"}}}}}},"PreviousSpec":{{"TaskTemplate":{{"ContainerSpec":{{"Image":"team/app:1"}}}}}}}}]
                [{{"Spec":{{"TaskTemplate":{{"ContainerSpec":{{"Image":"team/db:9"}}}}}}}}]"#
            ),
            vec![
                "manifest team/app:1@".into(),
                digest.clone(),
                "manifest team/app:2@".into(),
                "manifest team/db:9@".into(),
            ],
        ),
        (
            "ECS's tasks, a hundred an answer",
            format!(
                "{}{}",
                format_args!(r#"{{"tasks":[{{"containers":[{{"image":"team/app:1","imageDigest":"sha256:{HEX}"}}]}}],"failures":[]}}"#),
                "\n{\"tasks\":[{\"containers\":[{\"image\":\"team/b:1\",\"imageDigest\":null}]}],\"failures\":[]}\n"
            ),
            vec!["manifest team/app:1@".into(), digest.clone(), "manifest team/b:1@".into()],
        ),
    ] {
        let mut found = rows_of(&read(&text).unwrap_or_else(|error| panic!("{who}: {error}")));
        let mut expected: Vec<String> = expected;
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{who}");
        let end = text.trim_end().len() - 1;
        assert!(read(&text[..end]).is_err(), "{who}, cut");
    }
}

/// What a pipe gives: a few bytes at a time.
struct Slow<'a>(&'a [u8]);

impl std::io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(3);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn a_header_that_comes_in_pieces_is_a_header() {
    let text = format!("\u{feff}repository,tag,digest\r\nteam/app,v1,sha256:{HEX}\r\n");
    let mut batch = Batch::default();
    let content = Box::new(Slow(Box::leak(text.into_boxed_str()).as_bytes()));
    let source = Input::of("slow", content).read(&mut |row| batch.push(row)).unwrap();
    assert_eq!(source.form, Form::Csv);
    assert_eq!(rows_of(&(source, batch)), [format!("manifest team/app:v1@sha256:{HEX}")]);
}

#[test]
fn a_table_without_a_header_is_refused_and_not_taken_for_words() {
    for text in ["team/app,v1\n", "team/app\tv1\n", "team/app:1,latest\n"] {
        assert!(refused(text).contains("may be a tag"), "{text}: {}", refused(text));
    }
    let list = "nginx redis, team/app:1,team/web:2\nalpine\t team/db:1 # note,v1\n";
    let expected =
        ["nginx:latest", "redis:latest", "team/app:1", "team/web:2", "alpine:latest", "team/db:1"];
    let found: Vec<String> = rows_of(&read(list).unwrap());
    assert_eq!(found, expected.map(|name| format!("manifest {name}@")));
}

#[test]
fn what_is_longer_than_any_row_is_refused_before_it_fills_the_memory() {
    let endless = |begin: &str, byte: u8| {
        let content = begin.as_bytes().to_vec();
        let tail = std::io::Read::take(std::io::repeat(byte), 1 << 32);
        let content = std::io::Read::chain(std::io::Cursor::new(content), tail);
        Input::of("endless", Box::new(content)).read(&mut |_| {}).unwrap_err().to_string()
    };
    for (begin, byte) in [
        ("repository,tag,digest\n", b'a'),
        ("repository,tag,digest\nteam/app,\"v1,\n", b'\n'),
        ("team/app:1\n", b'a'),
        ("[{\"image\":\"", b'a'),
        ("{\"metadata\":{\"name\":\"", b'a'),
        ("", b'a'),
    ] {
        let error = endless(begin, byte);
        assert!(error.contains("endless"), "{begin}: {error}");
    }
}

#[test]
fn odd_exports_are_errors_with_their_line_and_never_a_part_of_a_list() {
    let upper = HEX.to_uppercase();
    let sha512 = "ab".repeat(64);
    for (text, expected) in [
        (format!("repository,tag,digest\na/b,1,sha256:{upper}\n"), "is no digest"),
        (format!("repository,tag,digest\na/b,1,SHA256:{HEX}\n"), "is no digest"),
        (format!("repository,tag,digest\na/b,1,{HEX}0\n"), "is no digest"),
        (format!("repository,tag,digest\na/b,1,02{HEX}\n"), "is no digest"),
        ("repository,tag,tag\na/b,1,2\n".into(), "stands twice"),
        ("repository,tag,digest\na/b,\"1\n2\",\n".into(), "is no tag"),
        ("repository,tag,digest\na/b,1\0,\n".into(), "is no tag"),
        ("repository,tag,digest\n\0\n".into(), "values"),
        (
            format!("repository,tag,digest\nreg.example.com:5000/a/b,1,sha256:{HEX}\n"),
            "is no repository",
        ),
        ("team/app:1\0\n".into(), "is not an image reference"),
        ("repository;tag;digest\na/b;1;\n".into(), "is not an image reference"),
        (format!("{{\"image\":\"a:1\"}} trailing {HEX}"), "roots:1"),
    ] {
        let error = refused(&text);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    for text in [
        format!("digest\nsha512:{sha512}\n"),
        format!("repository,digest\n,02{sha512}\n"),
        format!("sha512:{sha512}\n"),
    ] {
        let found = read(&text).map(|read| rows_of(&read));
        assert_eq!(found.unwrap(), [format!("manifest :@sha512:{sha512}")], "{text}");
    }
}
