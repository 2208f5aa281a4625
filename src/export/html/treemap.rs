//! The picture of the disk: every byte in it once. Repositories by what only they hold, grouped by the
//! parts of their names, in them their tags by what only each holds; then what is shared, and what is
//! garbage. Each group has a picture of its own below.

use std::borrow::Cow;
use std::cmp::Reverse;

use maud::{Markup, html};

use super::PageError;
use super::groups::{Member, Piece, parts, pieces, sort};
use super::source::{Figures, Row, Source, bounded, cut};
use super::squarify::{Area, squarify};
use super::table::{self, Sizes};
use crate::ui::visible;

const REPOSITORIES_SQL: &str = include_str!("sql/treemap_repositories.sql");
const TAGS_SQL: &str = include_str!("sql/treemap_tags.sql");

/// More repositories than this are one box: the smallest, which all together are hardly seen.
const MAX_REPOSITORIES: i64 = 20_000;
/// Repositories whose tags are shown, where there is room for them.
const MAX_WITH_TAGS: i64 = 60;
const MAX_TAGS: i64 = 12;

/// Groups with a picture of their own, which make the page larger.
const MAX_ZOOMS: usize = 16;

/// Longer names are cut: the tables have more of them.
const MAX_BYTES: usize = 100;

/// A character's width in the picture's units; only to know which labels fit.
const CHARACTER: f64 = 6.6;
const LINE: f64 = 16.0;
/// Boxes of less than this many square units cannot be seen.
const LEAST_AREA: f64 = 4.0;

/// Who holds the bytes of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Repository,
    Group,
    Tag,
    SomeTags,
    MoreTags,
    SharedByTags,
    SharedByRepositories,
    Untagged,
    Orphans,
    MoreRepositories,
}

impl Holder {
    fn class(self) -> &'static str {
        match self {
            Self::Repository | Self::Group | Self::MoreRepositories => "repository",
            Self::Tag | Self::SomeTags | Self::MoreTags => "exclusive",
            Self::SharedByTags => "shared-in",
            Self::SharedByRepositories => "shared",
            Self::Untagged => "untagged",
            Self::Orphans => "orphan",
        }
    }
}

struct Node {
    holder: Holder,
    /// Its name, without active characters, and not long.
    label: String,
    /// What is said of it beside its name and bytes.
    detail: String,
    bytes: u64,
    children: Vec<Node>,
    /// A picture of what is in it.
    zoom: Option<Vec<Node>>,
}

impl Node {
    fn leaf(holder: Holder, label: impl Into<String>, bytes: u64) -> Self {
        let label = bounded(&visible(&label.into()), MAX_BYTES).into_owned();
        Self { holder, label, detail: String::new(), bytes, children: Vec::new(), zoom: None }
    }
}

/// The picture and what its colours mean.
pub fn treemap(source: &Source<'_>, figures: &Figures, sizes: Sizes) -> Result<Markup, PageError> {
    let nodes = nodes(source, figures, sizes)?;
    let zooms: Vec<(usize, &Node, &[Node])> = numbered_zooms(&nodes).collect();
    Ok(html! {
        @if nodes.is_empty() {
            p.none { "There is nothing on this disk yet." }
        } @else {
            figure.treemap {
                (picture("wide", "wide", 1200.0, 620.0, &nodes, sizes))
                (picture("narrow", "narrow", 380.0, 560.0, &nodes, sizes))
                @if !zooms.is_empty() {
                    div.groups {
                        @for (number, node, inner) in &zooms {
                            details id={ "group-" (number) } {
                                summary { (node.label) " " b { (sizes.human_sum(node.bytes)) } }
                                (picture("group", &format!("group-{number}"), 1200.0, 420.0, inner, sizes))
                            }
                        }
                    }
                }
                figcaption {
                    (legend(figures, sizes))
                    p.detail #treemap-detail {}
                    @if !zooms.is_empty() {
                        p.cut {
                            "Repositories are grouped by the parts of their names, or in ranges of names where "
                            "those are many. A click on a group shows what is in it."
                        }
                    }
                }
            }
        }
        (table::query("regsql report repositories", &[REPOSITORIES_SQL, TAGS_SQL]))
    })
}

/// Groups with a picture of their own, and its number.
fn numbered_zooms(nodes: &[Node]) -> impl Iterator<Item = (usize, &Node, &[Node])> {
    let zooms = nodes.iter().filter_map(|node| Some((node, node.zoom.as_deref()?)));
    zooms.take(MAX_ZOOMS).enumerate().map(|(number, (node, zoom))| (number, node, zoom))
}

/// A repository of the picture.
struct Held<'a> {
    row: Row<'a>,
    parts: Parts,
}

impl Member for Held<'_> {
    fn name(&self) -> &str {
        self.row.text("repository")
    }

    fn bytes(&self) -> u64 {
        self.parts.bytes
    }
}

fn nodes(source: &Source<'_>, figures: &Figures, sizes: Sizes) -> Result<Vec<Node>, PageError> {
    let limits = [("repositories", MAX_REPOSITORIES)];
    let found = source.query("treemap_repositories", REPOSITORIES_SQL, &limits)?;
    let limits = [("repositories", MAX_WITH_TAGS), ("tags", MAX_TAGS)];
    let tags = source.query("treemap_tags", TAGS_SQL, &limits)?;
    let mut rest = Parts::of_all_repositories(figures);
    let mut members: Vec<Held<'_>> =
        Row::all(&found).map(|row| Held { row, parts: Parts::of_repository(row) }).collect();
    for member in &members {
        rest.take(&member.parts);
    }
    sort(&mut members);
    let node = |piece: &Piece| {
        if let [one] = &members[piece.members.clone()] {
            let name = one.name();
            let tags = Row::all(&tags).filter(|tag| tag.text("repository") == name);
            return repository(one.row, tags, sizes);
        }
        let inner = parts(&members, piece);
        let children =
            inner.iter().map(|inner| Node::leaf(Holder::Group, &*inner.label, inner.bytes));
        let zoom = inner.iter().map(|inner| Node {
            children: sum(&members[inner.members.clone()]).nodes(Vec::new()),
            ..group(inner)
        });
        Node {
            children: largest_first(children.collect()),
            zoom: Some(largest_first(zoom.collect())),
            ..group(piece)
        }
    };
    let mut nodes: Vec<Node> = pieces(&members).iter().map(node).collect();
    let more = figures.get("repository_count").saturating_sub(members.len() as u64);
    nodes.extend([
        Node {
            children: rest.nodes(Vec::new()),
            ..Node::leaf(
                Holder::MoreRepositories,
                more_of(more, "repository", "repositories"),
                rest.bytes,
            )
        },
        Node::leaf(
            Holder::SharedByRepositories,
            shared_label(sizes),
            shared_by_repositories(figures),
        ),
        Node::leaf(Holder::Orphans, "orphan blobs", figures.get("orphan_bytes")),
    ]);
    Ok(largest_first(nodes))
}

fn group(piece: &Piece) -> Node {
    let count = piece.members.len();
    let detail = if count > 1 { format!("{count} repositories") } else { String::new() };
    Node { detail, ..Node::leaf(Holder::Group, &*piece.label, piece.bytes) }
}

fn sum(members: &[Held<'_>]) -> Parts {
    let mut sum = Parts { bytes: 0, of_tags: 0, untagged: 0 };
    for Held { parts, .. } in members {
        sum.bytes = sum.bytes.saturating_add(parts.bytes);
        sum.of_tags = sum.of_tags.saturating_add(parts.of_tags);
        sum.untagged = sum.untagged.saturating_add(parts.untagged);
    }
    sum
}

/// What a repository, or several, hold for themselves, by who holds it there.
struct Parts {
    bytes: u64,
    of_tags: u64,
    untagged: u64,
}

impl Parts {
    fn of_all_repositories(figures: &Figures) -> Self {
        Self {
            bytes: figures.get("repository_exclusive_bytes"),
            of_tags: figures.get("tag_exclusive_bytes"),
            untagged: figures.get("repository_untagged_bytes"),
        }
    }

    fn of_repository(row: Row<'_>) -> Self {
        Self {
            bytes: row.bytes("exclusive_bytes"),
            of_tags: row.bytes("tag_exclusive_bytes"),
            untagged: row.bytes("untagged_bytes"),
        }
    }

    fn take(&mut self, part: &Self) {
        self.bytes = self.bytes.saturating_sub(part.bytes);
        self.of_tags = self.of_tags.saturating_sub(part.of_tags);
        self.untagged = self.untagged.saturating_sub(part.untagged);
    }

    fn shared(&self) -> u64 {
        self.bytes.saturating_sub(self.of_tags).saturating_sub(self.untagged)
    }

    /// The boxes of tags, and those for the rest; without tags they are one box.
    fn nodes(&self, mut tags: Vec<Node>) -> Vec<Node> {
        if tags.is_empty() {
            tags.push(Node::leaf(Holder::SomeTags, "exclusive to one tag", self.of_tags));
        }
        tags.extend([
            Node::leaf(Holder::Untagged, "untagged", self.untagged),
            Node::leaf(Holder::SharedByTags, "shared by its tags", self.shared()),
        ]);
        largest_first(tags)
    }
}

fn more_of(count: u64, one: &str, several: &str) -> String {
    format!("{count} more {}", if count == 1 { one } else { several })
}

fn repository<'a>(row: Row<'_>, tags: impl Iterator<Item = Row<'a>>, sizes: Sizes) -> Node {
    let parts = Parts::of_repository(row);
    let reaches =
        |row: Row<'_>| format!("it reaches {}", sizes.human(row.integer("logical_bytes")));
    let mut children: Vec<Node> = Vec::new();
    let (mut shown_bytes, mut shown_count) = (0_u64, 0);
    for tag in tags {
        let bytes = tag.bytes("exclusive_bytes");
        shown_bytes = shown_bytes.saturating_add(bytes);
        shown_count += tag.bytes("tag_count");
        children.push(match tag.bytes("tag_count") {
            1 if tag.text("last_tag").is_empty() => {
                Node { detail: reaches(tag), ..Node::leaf(Holder::Tag, tag.text("tag"), bytes) }
            }
            count => {
                let label = format!("{} … {}", tag.text("tag"), tag.text("last_tag"));
                let detail = format!("{count} tags");
                Node { detail, ..Node::leaf(Holder::SomeTags, label, bytes) }
            }
        });
    }
    if !children.is_empty() {
        let more = row.bytes("tag_count").saturating_sub(shown_count);
        children.push(Node::leaf(
            Holder::MoreTags,
            more_of(more, "tag", "tags"),
            parts.of_tags.saturating_sub(shown_bytes),
        ));
    }
    Node {
        detail: reaches(row),
        children: parts.nodes(children),
        ..Node::leaf(Holder::Repository, row.text("repository"), parts.bytes)
    }
}

/// What is to be drawn of the boxes.
fn largest_first(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.retain(|node| node.bytes > 0);
    nodes.sort_by_key(|node| Reverse(node.bytes));
    nodes
}

/// What several repositories reach, or what is kept because something cannot be read.
fn shared_by_repositories(figures: &Figures) -> u64 {
    let kept = figures.get("blob_bytes").saturating_sub(figures.get("orphan_bytes"));
    kept.saturating_sub(figures.get("repository_exclusive_bytes"))
}

fn shared_label(sizes: Sizes) -> &'static str {
    if sizes.is_at_least {
        "shared by several repositories, or held by what cannot be read"
    } else {
        "shared by several repositories"
    }
}

fn legend(figures: &Figures, sizes: Sizes) -> Markup {
    let parts = Parts::of_all_repositories(figures);
    let classes = [
        (Holder::Tag, "exclusive to one tag", parts.of_tags),
        (Holder::SharedByTags, "shared by tags of one repository", parts.shared()),
        (Holder::SharedByRepositories, shared_label(sizes), shared_by_repositories(figures)),
        (Holder::Untagged, "only in untagged revisions", parts.untagged),
        (Holder::Orphans, "orphan blobs", figures.get("orphan_bytes")),
    ];
    html! {
        ul.legend {
            @for (holder, meaning, bytes) in classes {
                li title={ (bytes) " bytes" } {
                    svg.swatch viewBox="0 0 12 12" aria-hidden="true" {
                        rect.(holder.class()) width="12" height="12" {}
                    }
                    (meaning) " " b { (sizes.human_sum(bytes)) }
                }
            }
        }
    }
}

/// The picture in the given units, for screens of the named class.
fn picture(
    screen: &str,
    id: &str,
    width: f64,
    height: f64,
    nodes: &[Node],
    sizes: Sizes,
) -> Markup {
    let values: Vec<u64> = nodes.iter().map(|node| node.bytes).collect();
    let areas = squarify(&values, Area { x: 0.0, y: 0.0, width, height });
    let hatch = format!("hatch-{id}");
    let zooms: Vec<&Node> = numbered_zooms(nodes).map(|(_, node, _)| node).collect();
    let zoom_of = |node: &Node| zooms.iter().position(|zoom| std::ptr::eq(*zoom, node));
    html! {
        svg.(screen) viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-label="The disk as boxes: repositories, in them their tags, by bytes" {
            defs {
                pattern id=(hatch) width="6" height="6" patternUnits="userSpaceOnUse"
                    patternTransform="rotate(45)" {
                    rect.stripe width="2" height="6" {}
                }
            }
            @for (node, area) in nodes.iter().zip(&areas) {
                (outer_box(node, *area, &hatch, zoom_of(node), sizes))
            }
        }
    }
}

fn outer_box(node: &Node, area: Area, hatch: &str, zoom: Option<usize>, sizes: Sizes) -> Markup {
    if node.children.is_empty() {
        return leaf_box(node, None, area.inset(1.0, 1.0, 1.0, 1.0), hatch, sizes);
    }
    let frame = area.inset(1.0, 1.0, 1.0, 1.0);
    let has_heading = frame.width > 50.0 && frame.height > 44.0;
    let inner = if has_heading { frame.inset(3.0, LINE + 4.0, 3.0, 3.0) } else { frame };
    let values: Vec<u64> = node.children.iter().map(|child| child.bytes).collect();
    html! {
        @if frame.width * frame.height >= LEAST_AREA {
            g.zooms[zoom.is_some()] data-zoom=[zoom.map(|number| format!("group-{number}"))] {
                g.box {
                    title { (title(node, None, sizes)) }
                    (rectangle(frame, node.holder.class()))
                    @if has_heading { (label(&node.label, frame, "name")) }
                }
                @for (child, area) in node.children.iter().zip(squarify(&values, inner)) {
                    (leaf_box(child, Some(node), area.inset(0.5, 0.5, 0.5, 0.5), hatch, sizes))
                }
            }
        }
    }
}

fn leaf_box(node: &Node, parent: Option<&Node>, area: Area, hatch: &str, sizes: Sizes) -> Markup {
    let is_shared = matches!(node.holder, Holder::SharedByTags | Holder::SharedByRepositories);
    let has_label = area.width > 34.0 && area.height > LINE + 2.0;
    html! {
        @if area.width * area.height >= LEAST_AREA {
            g.box {
                title { (title(node, parent, sizes)) }
                (rectangle(area, node.holder.class()))
                @if is_shared {
                    rect x=(units(area.x)) y=(units(area.y)) width=(units(area.width))
                        height=(units(area.height)) fill={ "url(#" (hatch) ")" } {}
                }
                @if has_label { (label(&node.label, area, "tag")) }
            }
        }
    }
}

fn rectangle(area: Area, class: &str) -> Markup {
    html! {
        rect.(class) x=(units(area.x)) y=(units(area.y)) width=(units(area.width))
            height=(units(area.height)) {}
    }
}

/// As much of a name as its box has room for.
fn label(text: &str, area: Area, class: &str) -> Markup {
    let room = ((area.width - 8.0) / CHARACTER).max(0.0) as usize;
    let fits = text.chars().count() <= room;
    let shown = if fits { Cow::Borrowed(text) } else { cut(text, room.saturating_sub(1)) };
    html! { text.(class) x=(units(area.x + 4.0)) y=(units(area.y + LINE - 3.0)) { (shown) } }
}

/// What is said when a box is pointed at.
fn title(node: &Node, parent: Option<&Node>, sizes: Sizes) -> String {
    let label = &node.label;
    let name = match parent {
        None => label.clone(),
        Some(parent) => {
            let is_image = node.holder == Holder::Tag && parent.holder == Holder::Repository;
            let between = if is_image { ":" } else { ", " };
            format!("{}{between}{label}", parent.label)
        }
    };
    let what = match node.holder {
        Holder::Tag | Holder::Repository => "exclusive: deleting it alone frees this",
        Holder::Group | Holder::SomeTags | Holder::MoreRepositories | Holder::MoreTags => {
            "exclusive to one of them each"
        }
        Holder::SharedByTags => "held by several tags of one repository",
        Holder::SharedByRepositories => "held by no repository alone",
        Holder::Untagged => "come free with the untagged revisions",
        Holder::Orphans => "nothing needs this",
    };
    let size = sizes.human_sum(node.bytes);
    let more = if node.detail.is_empty() { "" } else { "; " };
    format!("{name} — {size} {what}{more}{}", node.detail)
}

/// A length with one digit behind the point.
fn units(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
