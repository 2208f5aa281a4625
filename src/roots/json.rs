//! What `kubectl` and `oc` print with `-o json`: a list or one object, item by item, so that a list of
//! any length takes the memory of its largest item.
//!
//! OpenShift's `Image` (image.openshift.io/v1): its name is the manifest's digest; `dockerImageLayers`,
//! `dockerImageManifests` and the config's id are known too. `ImageStream`: `status.tags[].items[].image`
//! are the revisions that its repository, `namespace/name`, serves. Of anything else every string at
//! `image`, `imageID`, `imageDigest` and `dockerImageReference` is a reference.

use std::fmt;
use std::io::{BufReader, Read};

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::bounded::{Begins, Bounded};
use super::error::shown;
use super::{Origin, RootKind, RootsError, Row, words};
use crate::model::Digest;

/// An object longer than this is none: etcd holds no value of more than a few megabytes.
const MAX_ITEM_BYTES: usize = 64 << 20;

/// Hands every reference to `take`.
pub(super) fn read(
    file: &str,
    content: &mut dyn Read,
    take: &mut dyn FnMut(Row<'_>),
) -> Result<(), RootsError> {
    let (content, begins) = Bounded::new(content, MAX_ITEM_BYTES);
    let mut reader = Document { file, take, begins, item: 0, failure: None };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(content));
    let read = reader.read_all(&mut json);
    match (reader.failure.take(), read) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_io() => {
            Err(RootsError::Read { file: file.into(), source: error.into() })
        }
        (None, Err(error)) if error.is_eof() => Err(RootsError::Cut {
            file: file.into(),
            what: format!("the JSON ends at line {}", error.line()),
        }),
        (None, Err(error)) => Err(RootsError::Line {
            file: file.into(),
            line: error.line() as u64,
            what: error.to_string(),
        }),
    }
}

struct Document<'a> {
    file: &'a str,
    take: &'a mut dyn FnMut(Row<'_>),
    begins: Begins,
    item: u64,
    failure: Option<RootsError>,
}

impl Document<'_> {
    /// One document or several, as a command gives that is run for each hundred things.
    fn read_all<'de, R: serde_json::de::Read<'de>>(
        &mut self,
        json: &mut serde_json::Deserializer<R>,
    ) -> serde_json::Result<()> {
        loop {
            json.deserialize_any(Top(self))?;
            match json.end() {
                // Something follows, and it has to be another one.
                Err(error) if error.is_syntax() => {}
                end => return end,
            }
        }
    }

    fn fail(&mut self, what: impl Into<String>) {
        let file = self.file.into();
        self.failure.get_or_insert(RootsError::Foreign { file, what: what.into() });
    }

    fn item(&mut self, item: &Value) {
        self.item += 1;
        self.begins.now();
        if item.get("kind").and_then(Value::as_str) == Some("Status") {
            self.fail("holds a Status, which is an error and no object");
        }
        let line = self.item;
        let found = match item["kind"].as_str() {
            Some("Image")
                if item["apiVersion"].as_str().is_some_and(|version| {
                    version.starts_with("image.openshift.io") || version == "v1"
                }) =>
            {
                image(line, item, self.take)
            }
            Some("ImageStream") => image_stream(line, item, self.take),
            _ => any_object(line, item, self.take),
        };
        if let Err(what) = found {
            let file = self.file.to_owned();
            self.failure.get_or_insert(RootsError::Line {
                file,
                line,
                what: format!("item {line}: {what}"),
            });
        }
    }
}

struct Top<'d, 'a>(&'d mut Document<'a>);

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut rest = Map::new();
        let mut has_items = false;
        let first = self.0.item;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                has_items = true;
                map.next_value_seed(Items(self.0))?;
            } else {
                rest.insert(key, map.next_value()?);
            }
            if self.0.failure.is_some() {
                return Err(A::Error::custom("refused"));
            }
        }
        let top = Value::Object(rest);
        if top["kind"].as_str() == Some("Status") {
            self.0.fail("holds a Status, which is an error and no list");
        } else if top["metadata"]["continue"].as_str().is_some_and(|token| !token.is_empty()) {
            self.0.fail("is one page of several (metadata.continue is set)");
        } else if has_items && self.0.item == first {
            self.0.fail("holds no item");
        } else if !has_items {
            self.0.item(&top);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        read_items(self.0, seq)
    }
}

struct Items<'d, 'a>(&'d mut Document<'a>);

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        read_items(self.0, seq)
    }
}

fn read_items<'de, A: SeqAccess<'de>>(
    document: &mut Document<'_>,
    mut seq: A,
) -> Result<(), A::Error> {
    while let Some(item) = seq.next_element::<Value>()? {
        document.item(&item);
        if document.failure.is_some() {
            return Err(A::Error::custom("refused"));
        }
    }
    Ok(())
}

fn digest_of(value: &Value) -> Result<Option<Digest>, String> {
    match value.as_str() {
        None | Some("") => Ok(None),
        Some(text) => super::table::digest(text).map(Some),
    }
}

fn image(line: u64, item: &Value, take: &mut dyn FnMut(Row<'_>)) -> Result<(), String> {
    let name = digest_of(&item["metadata"]["name"])?.ok_or("the image has no name")?;
    let of_image = |digest| Row { origin: Origin::Image, ..Row::new(line, Some(digest)) };
    take(of_image(name));
    let known = |digest| Row { kind: RootKind::Blob, ..of_image(digest) };
    for layer in item["dockerImageLayers"].as_array().into_iter().flatten() {
        if let Some(digest) = digest_of(&layer["name"])? {
            take(known(digest));
        }
    }
    let metadata = &item["dockerImageMetadata"];
    for id in [&metadata["Id"], &metadata["id"]] {
        // Schema 1 images have another id here, which names no blob.
        if let Ok(Some(digest)) = digest_of(id) {
            take(known(digest));
        }
    }
    for child in item["dockerImageManifests"].as_array().into_iter().flatten() {
        if let Some(digest) = digest_of(&child["digest"])? {
            take(of_image(digest));
        }
    }
    Ok(())
}

fn image_stream(line: u64, item: &Value, take: &mut dyn FnMut(Row<'_>)) -> Result<(), String> {
    let part = |key: &str| {
        item["metadata"][key].as_str().ok_or_else(|| format!("the image stream has no {key}"))
    };
    let repository = format!("{}/{}", part("namespace")?, part("name")?);
    // The stream itself is known, so that its repository is, whether it has images or not.
    let mut has_image = false;
    for tag in item["status"]["tags"].as_array().into_iter().flatten() {
        let name = tag["tag"].as_str();
        for (at, event) in tag["items"].as_array().into_iter().flatten().enumerate() {
            let Some(digest) = digest_of(&event["image"])? else { continue };
            has_image = true;
            take(Row {
                repository: Some(&repository),
                // The first is what the tag points at now.
                tag: name.filter(|_| at == 0),
                origin: Origin::ImageStream,
                ..Row::new(line, Some(digest))
            });
        }
    }
    if !has_image {
        let origin = Origin::ImageStream;
        take(Row { repository: Some(&repository), origin, ..Row::new(line, None) });
    }
    Ok(())
}

/// Keys under which Kubernetes, what runs in it, Docker and ECS keep images.
const KEYS: [&str; 10] = [
    "image",
    "imageID",
    "imageDigest",
    "dockerImageReference",
    "lastTriggeredImage",
    "lastTriggeredImageID",
    "outputDockerImageReference",
    "containerImage",
    "Image",
    "ImageID",
];

/// Variables that name the images that an operator runs (OLM).
const OPERAND_PREFIX: &str = "RELATED_IMAGE_";

fn any_object(line: u64, item: &Value, take: &mut dyn FnMut(Row<'_>)) -> Result<(), String> {
    match item {
        Value::Object(map) => {
            if let Some(text) = by_its_form(map) {
                take_reference(line, "name", text, take)?;
            }
            for (key, value) in map {
                match value {
                    Value::String(text) if KEYS.contains(&key.as_str()) => {
                        take_reference(line, key, text, take)?;
                    }
                    Value::String(_) => {}
                    _ => any_object(line, value, take)?,
                }
            }
            // A volume that is an image.
            if let Some(text) = item["image"]["reference"].as_str() {
                take_reference(line, "reference", text, take)?;
            }
            Ok(())
        }
        Value::Array(values) => values.iter().try_for_each(|value| any_object(line, value, take)),
        _ => Ok(()),
    }
}

/// What an object names as a whole: `{"kind": "DockerImage", "name": …}` of OpenShift's builds, or the variable of
/// an operator.
fn by_its_form(map: &Map<String, Value>) -> Option<&str> {
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    match text("kind") {
        Some("DockerImage" | "ImageStreamImage") => text("name"),
        _ => {
            text("value").filter(|_| text("name").is_some_and(|it| it.starts_with(OPERAND_PREFIX)))
        }
    }
}

fn take_reference(
    line: u64,
    key: &str,
    text: &str,
    take: &mut dyn FnMut(Row<'_>),
) -> Result<(), String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(());
    }
    let reference = words::reference(text)
        .ok_or_else(|| format!("`{}` at {key} is no image reference", shown(text)))?;
    words::take(line, &reference, take);
    Ok(())
}
