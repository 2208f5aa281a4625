//! The answer as a person reads it: what it is, what leads to it as a tree, what deleting it frees.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{Writer, beyond};
use crate::ui::{self, Look, short_digest, visible};
use crate::why::{
    Answer, End, Fault, FreedWith, LayerLink, Reason, Step, TargetKind, Verdict, Via,
};

/// Lines of prose are broken here, whatever the terminal's width.
const WIDTH: usize = 80;

/// Writes text.
pub struct Text<'a> {
    out: &'a mut dyn Write,
    answer: &'a Answer,
    look: Look,
    /// What shows the other paths, where these are not all.
    for_more: Option<&'a str>,
    about_scan: &'a [String],
    /// The path before, to say what two paths share only once.
    before: Vec<Step>,
    repositories: BTreeSet<String>,
    tags: usize,
}

impl<'a> Text<'a> {
    /// Writes what stands above the paths.
    pub fn begin(
        out: &'a mut dyn Write,
        answer: &'a Answer,
        look: Look,
        for_more: Option<&'a str>,
        about_scan: &'a [String],
    ) -> io::Result<Self> {
        let mut text = Self {
            out,
            answer,
            look,
            for_more,
            about_scan,
            before: Vec::new(),
            repositories: BTreeSet::new(),
            tags: 0,
        };
        text.heading()?;
        text.verdict()?;
        Ok(text)
    }

    fn heading(&mut self) -> io::Result<()> {
        let answer = self.answer;
        let digest = match &answer.digest {
            Some(digest) => format!("digest {digest}"),
            None => "points at nothing that can be read".into(),
        };
        match (answer.kind, &answer.repository, &answer.tag) {
            (TargetKind::Tag, Some(repository), Some(tag)) => {
                self.bold(&format!("tag {}", name(repository, tag)))?;
                self.line(1, &digest)?;
            }
            (TargetKind::Revision, Some(repository), _) => {
                self.bold(&format!("revision of {repository}"))?;
                self.line(1, &digest)?;
            }
            _ => self.bold(answer.digest.as_deref().unwrap_or_default())?,
        }
        let kind = match answer.blob_kind.as_deref() {
            Some("unknown") => Some("a blob of unknown kind"),
            kind => kind,
        };
        let size = answer.size_bytes.map(ui::bytes);
        let parts = [kind.map(str::to_owned), size, answer.media_type.clone()];
        let parts: Vec<String> =
            parts.into_iter().flatten().chain(answer.artifact_type.clone()).collect();
        if !parts.is_empty() {
            self.prose(1, &parts.join(", "))?;
        }
        if let Some(command) = &answer.created_by {
            self.prose(1, &format!("made by {command}"))?;
        }
        match (answer.kind, &answer.pushed_at, &answer.modified_at) {
            (TargetKind::Tag, Some(at), _) => self.line(1, &format!("set {}", time(at))),
            (TargetKind::Revision, Some(at), _) => self.line(1, &format!("pushed {}", time(at))),
            (TargetKind::Blob, _, Some(at)) => self.line(1, &format!("written {}", time(at))),
            _ => Ok(()),
        }
    }

    fn verdict(&mut self) -> io::Result<()> {
        let answer = self.answer;
        writeln!(self.out)?;
        match answer.verdict {
            Verdict::Garbage => self.bold("Garbage: nothing in any repository leads to it"),
            Verdict::Absent if answer.digest.is_none() => self.bold("Broken: it leads nowhere"),
            Verdict::Absent if answer.tag_count > 0 => self.bold(&format!(
                "Not on disk, and {} to it",
                counted(answer.tag_count, "tag leads", "tags lead"),
            )),
            Verdict::Absent => self.bold("Not on disk"),
            Verdict::Kept if answer.tag_count > 0 => self.bold(&format!(
                "Kept: {} in {} {} to it",
                counted(answer.tag_count, "tag", "tags"),
                counted(answer.repository_count, "repository", "repositories"),
                if answer.tag_count == 1 { "leads" } else { "lead" },
            )),
            Verdict::Kept => self.bold("Kept, though no tag leads to it"),
        }
    }

    fn reasons(&mut self) -> io::Result<()> {
        let says_bytes = self.answer.exclusive_bytes.is_some()
            || (self.answer.verdict == Verdict::Garbage && self.answer.freed_bytes.is_some());
        if self.answer.reasons.is_empty() && !says_bytes {
            return Ok(());
        }
        writeln!(self.out)?;
        for reason in &self.answer.reasons {
            self.reason(reason)?;
        }
        self.freed()
    }

    fn reason(&mut self, reason: &Reason) -> io::Result<()> {
        match reason {
            Reason::AliasOf { alias } => {
                self.prose(0, &format!("{} is another name of it.", self.digest(alias)))
            }
            Reason::Unreferenced => self
                .prose(0, "Storage does not record since when; it was written when it says above."),
            Reason::NamedByGarbage { manifest_digest, role } => self.prose(
                0,
                &format!(
                    "Manifest {} names it ({role}), and is garbage itself.",
                    self.digest(manifest_digest)
                ),
            ),
            Reason::SubjectOf { manifest_digest } => self.prose(
                0,
                &format!(
                    "Manifest {} refers to it as its subject, which keeps nothing.",
                    self.digest(manifest_digest)
                ),
            ),
            Reason::ForeignLayerOf { manifest_digest } => self.prose(
                0,
                &format!(
                    "Manifest {} names it as a foreign layer, which is served elsewhere.",
                    self.digest(manifest_digest)
                ),
            ),
            Reason::MoreManifests => self.prose(0, "There are more such manifests."),
            Reason::LayerLinks { count, first } => self.layer_links(*count, first),
            Reason::FreedWith(FreedWith { repository, tag: Some(tag), freed_bytes }) => {
                let (name, bytes) = (name(repository, tag), self.bytes(*freed_bytes));
                self.prose(
                    0,
                    &format!("It comes free with the tag {name}: deleting that frees {bytes}."),
                )
            }
            Reason::FreedWith(FreedWith { repository, tag: None, freed_bytes }) => {
                let bytes = self.bytes(*freed_bytes);
                self.prose(
                    0,
                    &format!(
                        "No tag alone keeps it. Only {repository} needs it: deleting that whole \
                         repository frees {bytes}."
                    ),
                )
            }
            Reason::SameDigest { tags, count, freed_bytes } => {
                let more = count - tags.len() as u64;
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                self.prose(0, &format!("On the same digest: {}{more}.", tags.join(", ")))?;
                let all = match count {
                    1 => "the two together free".to_owned(),
                    _ => format!("all {} together free", count + 1),
                };
                let freed = freed_bytes.map(|bytes| format!("; {all} {}", self.bytes(bytes)));
                let freed = freed.unwrap_or_default();
                self.prose(0, &format!("None of these tags frees anything alone{freed}."))
            }
            Reason::Broken { faults } => self.faults(faults),
            Reason::Untagged { is_held } => {
                self.prose(
                    0,
                    "No tag of the repository leads to it. Storage does not record since when.",
                )?;
                if *is_held {
                    self.prose(
                        0,
                        "It is kept all the same: something in the repository cannot be read.",
                    )?;
                }
                Ok(())
            }
            Reason::WasTagged { tag, moved_at } => {
                let at = moved_at.as_deref().map(|at| format!(", last on {}", time(at)));
                self.prose(
                    0,
                    &format!(
                        "Tag {tag} pointed at it, and was set again{}.",
                        at.unwrap_or_default()
                    ),
                )
            }
            Reason::RefersTo { digest, is_present: true } => {
                self.prose(0, &format!("It is about {}, and goes with it.", self.digest(digest)))
            }
            Reason::RefersTo { digest, is_present: false } => {
                self.prose(0, &format!("It is about {}, which is gone.", self.digest(digest)))
            }
            Reason::InOtherRepositories { count } => {
                let others =
                    counted(*count, "other repository reaches", "other repositories reach");
                self.prose(0, &format!("{others} the same digest."))
            }
        }
    }

    fn layer_links(&mut self, count: u64, first: &[LayerLink]) -> io::Result<()> {
        let links = counted(count as i64, "layer link", "layer links");
        let lead = if count == 1 { "leads" } else { "lead" };
        let dangling = first.iter().any(|link| link.is_dangling);
        let state = if dangling { ", to nothing" } else { "; a link keeps nothing" };
        self.prose(0, &format!("{links} still {lead} to it{state}:"))?;
        for link in first {
            let at = link.linked_at.as_deref().map(|at| format!(", written {}", time(at)));
            self.line(1, &format!("{}{}", link.repository, at.unwrap_or_default()))?;
        }
        let more = count - first.len() as u64;
        if more > 0 { self.line(1, &format!("and {more} more")) } else { Ok(()) }
    }

    fn faults(&mut self, faults: &[Fault]) -> io::Result<()> {
        self.prose(0, "The tag cannot be pulled whole:")?;
        for Fault { fault, digest } in faults {
            let digest = digest.as_deref().map(|digest| format!(" {}", self.digest(digest)));
            self.line(1, &format!("{fault}{}", digest.unwrap_or_default()))?;
        }
        if faults.is_empty() {
            self.line(1, "`regsql report problems` says where")?;
        }
        Ok(())
    }

    fn freed(&mut self) -> io::Result<()> {
        let answer = self.answer;
        if let (Some(logical), Some(exclusive), Some(shared)) =
            (answer.logical_bytes, answer.exclusive_bytes, answer.shared_bytes)
        {
            let line = format!(
                "It reaches {} in all, of which {} are shared.",
                self.bytes(logical),
                self.bytes(shared)
            );
            self.prose(0, &line)?;
            if answer.freed_bytes.is_none() {
                return self.prose(0, "Its own bytes are counted to what it is about.");
            }
            let what = match answer.kind {
                TargetKind::Tag => "this tag alone",
                _ => "it, its tags and what they leave unreferenced",
            };
            return self.prose(0, &format!("Deleting {what} frees {}.", self.bytes(exclusive)));
        }
        match (answer.freed_bytes, answer.verdict) {
            (Some(bytes), Verdict::Garbage) => {
                self.prose(0, &format!("Deleting it frees {}.", self.bytes(bytes)))
            }
            _ => Ok(()),
        }
    }

    /// A step of a path, with the step below it known.
    fn step(&self, step: &Step) -> Option<String> {
        let digest = |digest: &str| self.digest(digest).to_owned();
        Some(match step {
            Step::Blob { digest: text, .. } => format!("also called {}", digest(text)),
            Step::Manifest { digest: text, via, platform } => {
                let platform = platform.as_deref().filter(|text| !text.is_empty());
                let platform = platform.map(|text| format!(" ({text})")).unwrap_or_default();
                format!("{}manifest {}{platform}", way(*via), digest(text))
            }
            Step::Index { digest: text, via } => format!("{}index {}", way(*via), digest(text)),
            Step::Tag { repository, tag, is_broken } => {
                let broken = if *is_broken { ", which cannot be pulled" } else { "" };
                let (ours, our_tag) = (&self.answer.repository, &self.answer.tag);
                let is_target = our_tag.as_ref() == Some(tag) && ours.as_ref() == Some(repository);
                let this = if is_target { " (this one)" } else { "" };
                format!("tag {}{this}{broken}", name(repository, tag))
            }
            Step::Repository { revision: None, .. } => return None,
            Step::Repository { repository, revision: Some(revision), pushed_at } => {
                let pushed = pushed_at.as_deref().map(|at| format!(", pushed {}", time(at)));
                let held = if *revision == "held" { ", and held" } else { "" };
                let pushed = pushed.unwrap_or_default();
                format!("revision of {repository} that no tag leads to{held}{pushed}")
            }
            Step::ExternalRoot { source, line, reference } => {
                format!("kept by row {line} of {source}: {reference}")
            }
            Step::Root { scope, code, path } => {
                let what = match scope.as_str() {
                    "storage" => "everything is kept",
                    "manifests" => "what may be a manifest is kept",
                    "repository" => "what its repository links is kept",
                    _ => "it is kept",
                };
                format!("{what}, because something cannot be read: {code} at {path}")
            }
        })
    }

    fn digest<'t>(&self, text: &'t str) -> &'t str {
        if self.look.is_terminal { short_digest(text) } else { text }
    }

    fn bytes(&self, count: i64) -> String {
        let at_least = if self.answer.is_at_least { "≥ " } else { "" };
        format!("{at_least}{}", ui::bytes(count))
    }

    fn bold(&mut self, text: &str) -> io::Result<()> {
        let text = visible(text);
        if self.look.color {
            writeln!(self.out, "\x1b[1m{text}\x1b[0m")
        } else {
            writeln!(self.out, "{text}")
        }
    }

    fn line(&mut self, depth: usize, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:depth$}{}", "", visible(text), depth = depth * 2)
    }

    /// Words, broken into lines; a word longer than a line stays whole.
    fn prose(&mut self, depth: usize, text: &str) -> io::Result<()> {
        let text = visible(text);
        let mut line = String::new();
        for word in text.split(' ') {
            let length = depth * 2 + line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && length > WIDTH {
                writeln!(self.out, "{:depth$}{line}", "", depth = depth * 2)?;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        writeln!(self.out, "{:depth$}{line}", "", depth = depth * 2)
    }
}

impl Writer for Text<'_> {
    fn path(&mut self, path: &[Step]) -> io::Result<()> {
        let same = self.before.iter().zip(path).take_while(|(a, b)| a == b).count();
        for (depth, step) in path.iter().enumerate().skip(same.max(1)) {
            if let Some(text) = self.step(step) {
                self.line(depth, &text)?;
            }
        }
        for step in path {
            match step {
                Step::Tag { .. } => self.tags += 1,
                Step::Repository { repository, .. } => {
                    self.repositories.insert(repository.clone());
                }
                _ => {}
            }
        }
        self.before = path.to_vec();
        Ok(())
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        let (repositories, tags) = beyond(self.answer, self.repositories.len(), self.tags);
        // A tag that reaches it twice is one tag and two paths.
        let mut more = Vec::new();
        if repositories > 0 {
            more.push(counted(repositories, "more repository", "more repositories"));
        }
        if tags > 0 {
            more.push(counted(tags, "more tag", "more tags"));
        }
        if more.is_empty() && end.is_cut {
            more.push("more paths".into());
        }
        match self.for_more {
            None if end.is_cut => self.line(1, &format!("cut after {} paths", end.paths))?,
            Some(for_more) if !more.is_empty() => {
                self.line(1, &format!("and {}: {for_more}", more.join(", ")))?;
            }
            _ => {}
        }
        self.reasons()?;
        writeln!(self.out, "\n{}", self.about_scan.join(" · "))
    }
}

fn way(via: Option<Via>) -> &'static str {
    match via {
        Some(Via::Config) => "config of ",
        Some(Via::Layer) => "layer of ",
        Some(Via::Manifest) => "in ",
        Some(Via::Blob) => "named by ",
        Some(Via::Subject) => "refers to ",
        Some(Via::Alias) => "also called ",
        None => "",
    }
}

fn name(repository: &str, tag: &str) -> String {
    format!("{repository}:{tag}")
}

fn time(text: &str) -> String {
    ui::time(text).unwrap_or_else(|| text.to_owned())
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
