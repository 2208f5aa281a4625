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
fn told((_, batch): &(Source, Batch)) -> Vec<String> {
    let told = batch.rows().map(|row| {
        format!(
            "{} {}:{}@{}",
            row.kind.as_str(),
            row.repository.unwrap_or_default(),
            row.tag.unwrap_or_default(),
            row.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        )
    });
    told.collect()
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
        told(&roots),
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
    assert_eq!(told(&read(&tabs).unwrap()), told(&roots));
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
    for (wrong, told) in [
        ("a/b,1,sha256:abc\n", "roots:2: `sha256:abc` is no digest"),
        ("A/b,1,\n", "roots:2: `A/b` is no repository"),
        (",,\n", "roots:2: it has neither a digest nor a repository with a tag"),
    ] {
        assert_eq!(refused(&format!("repository,tag,digest\n{wrong}")), told);
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
        told(&read(&images).unwrap()),
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
        told(&read(&streams).unwrap()),
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
    assert_eq!(told(&roots)[0], "manifest reg.example.com/team/app0:v1@");
    assert_eq!(roots.1.rows().last().unwrap().line, 3000);
    assert!(roots.1.rows().all(|root| root.kind == RootKind::Manifest));
    // Wherever the answer breaks off, nothing of it counts.
    for end in (1..list.len()).step_by(list.len() / 10) {
        assert!(read(&list[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn answers_that_are_no_list_of_objects_are_refused() {
    for (text, told) in [
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
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn an_image_of_docker_io_is_looked_for_in_library_too() {
    let reference = super::reference("mirror.example.com/proxy/nginx:1.25").unwrap();
    let readings: Vec<String> = reference.readings().map(|(path, _)| path.into_owned()).collect();
    let expected = ["mirror.example.com/proxy/nginx", "proxy/nginx", "nginx", "library/nginx"];
    assert_eq!(readings, expected);
}
