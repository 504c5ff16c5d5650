//! The frame around every page: where one is, what else there is, who one is.

use foundation::auth::scope::Scope;

use super::notice::Notice;
use super::visitor::Visitor;
use crate::{agents, audit_events, members, organizations, projects, tasks, webhooks};

/// A part of the application, as the navigation names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Home,
    Projects,
    Tasks,
    Members,
    Agents,
    Webhooks,
    Audit,
    Settings,
    /// Nothing of the organization's: the person's own pages.
    Own,
}

/// An entry of the navigation.
#[derive(Debug)]
pub struct Entry {
    pub path: &'static str,
    pub name: &'static str,
    pub is_current: bool,
}

/// What the layout shows beside the page itself.
#[derive(Debug)]
pub struct Shell<'a> {
    pub visitor: &'a Visitor,
    pub notice: Option<Notice>,
    section: Section,
}

/// Every entry, with the scope without which it is of no use.
const ENTRIES: [(Section, &str, &str, Scope); 8] = [
    (Section::Home, "/", "Home", organizations::READ),
    (Section::Projects, "/projects", "Projects", projects::READ),
    (Section::Tasks, "/tasks", "Tasks", tasks::READ),
    (Section::Members, "/members", "Members", members::READ),
    (Section::Agents, "/agents", "Agents", agents::READ),
    (Section::Webhooks, "/webhooks", "Webhooks", webhooks::READ),
    (Section::Audit, "/audit", "Audit log", audit_events::READ),
    (Section::Settings, "/settings", "Settings", organizations::READ),
];

impl<'a> Shell<'a> {
    /// The frame of a page of this section.
    pub fn new(visitor: &'a Visitor, section: Section) -> Self {
        Self { visitor, notice: None, section }
    }

    /// Says what was done just before.
    pub fn noting(mut self, notice: Option<Notice>) -> Self {
        self.notice = notice;
        self
    }

    /// What the person's role lets see.
    pub fn entries(&self) -> Vec<Entry> {
        if self.visitor.me.organization.is_none() {
            return Vec::new();
        }
        let seen = ENTRIES.into_iter().filter(|(.., scope)| self.visitor.may(scope));
        seen.map(|(section, path, name, _)| Entry { path, name, is_current: section == self.section })
            .collect()
    }

    /// Whether the page is one of the person's own.
    pub fn is_own(&self) -> bool {
        self.section == Section::Own
    }
}
