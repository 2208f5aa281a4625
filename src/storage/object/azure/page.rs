//! A page of Azure's "List Blobs", read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::super::http::decode;
use super::super::xml::{self, Node};
use super::super::{Object, http_time};

/// A blob of a listing.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) object: Object,
    pub(super) version_id: Option<String>,
    pub(super) is_current: bool,
    pub(super) is_deleted: bool,
}

/// Blobs, prefixes, and where the next page begins.
pub(super) type Rows = (Vec<Row>, Vec<String>, Option<String>);

/// Reads a page of a listing.
pub(super) fn read_page(body: &[u8]) -> Result<Rows, String> {
    #[derive(Default)]
    struct Fields {
        name: Option<String>,
        size: Option<String>,
        time: Option<String>,
        etag: Option<String>,
        md5: Option<String>,
        tier: Option<String>,
        version: Option<String>,
        is_current: bool,
        is_deleted: bool,
        is_folder: bool,
    }
    let mut rows = Vec::new();
    let mut prefixes = Vec::new();
    let mut marker = None;
    let mut fields = Fields::default();
    let mut error: Option<String> = None;
    let name_of = |text: &str, is_encoded: bool| {
        if is_encoded { decode(text, false) } else { text.to_owned() }
    };
    xml::each(body, &mut |node| match node {
        Node::Leaf { path, text, is_encoded } => {
            let text_of = || Some(text.to_owned()).filter(|text| !text.is_empty());
            match path {
                "NextMarker" => marker = Some(text_of()),
                "Blobs/BlobPrefix/Name" => prefixes.push(name_of(text, is_encoded)),
                "Blobs/Blob/Name" => fields.name = Some(name_of(text, is_encoded)),
                "Blobs/Blob/Properties/Content-Length" => fields.size = text_of(),
                "Blobs/Blob/Properties/Last-Modified" => fields.time = text_of(),
                "Blobs/Blob/Properties/Etag" => fields.etag = text_of(),
                "Blobs/Blob/Properties/Content-MD5" => fields.md5 = text_of(),
                "Blobs/Blob/Properties/AccessTier" => fields.tier = text_of(),
                "Blobs/Blob/Properties/ResourceType" => fields.is_folder = text == "directory",
                "Blobs/Blob/VersionId" => fields.version = text_of(),
                "Blobs/Blob/IsCurrentVersion" => fields.is_current = text == "true",
                "Blobs/Blob/Deleted" => fields.is_deleted = text == "true",
                _ => {}
            }
        }
        Node::End { path: "Blobs/Blob" } => {
            let fields = std::mem::take(&mut fields);
            if fields.is_folder {
                return;
            }
            let name = fields.name.unwrap_or_default();
            let size = fields.size.and_then(|text| text.parse().ok());
            let time = fields.time.as_deref().and_then(http_time);
            let (Some(size_bytes), Some(modified_ns)) = (size, time) else {
                error.get_or_insert_with(|| format!("`{name}` has no size or time"));
                return;
            };
            let etag = fields.etag.map(|etag| etag.trim_matches('"').to_owned());
            let object = Object {
                key: name,
                size_bytes,
                modified_ns,
                version: etag.clone(),
                etag,
                md5: fields.md5.as_deref().and_then(md5_of_base64),
                storage_class: fields.tier,
            };
            rows.push(Row {
                object,
                version_id: fields.version,
                is_current: fields.is_current,
                is_deleted: fields.is_deleted,
            });
        }
        Node::End { .. } => {}
    })?;
    if let Some(error) = error {
        return Err(error);
    }
    let Some(marker) = marker else {
        return Err("it does not say whether it is all".to_owned());
    };
    Ok((rows, prefixes, marker))
}

/// The MD5 that a base64 text is.
pub(in super::super) fn md5_of_base64(text: &str) -> Option<[u8; 16]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_xml_can_hold_are_read_and_a_page_that_is_cut_is_none() {
        let body = "<EnumerationResults><Blobs><Blob><Name Encoded=\"true\">a%2F%01</Name>\
            <Properties><Content-Length>3</Content-Length>\
            <Last-Modified>Thu, 26 Nov 2026 05:00:00 GMT</Last-Modified><Etag>0x8D</Etag>\
            <Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5></Properties></Blob>\
            <Blob><Name>d</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>\
            <BlobPrefix><Name>b/</Name></BlobPrefix></Blobs><NextMarker>m</NextMarker>\
            </EnumerationResults>";
        let (rows, prefixes, next) = read_page(body.as_bytes()).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].object.key, "a/\u{1}");
        assert!(rows[0].object.md5.is_some());
        assert_eq!((prefixes, next), (vec!["b/".to_owned()], Some("m".to_owned())));
        for end in 0..body.len() {
            assert!(read_page(&body.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}
