//! What the people and agents of an organization are called, for pages that speak of them.

use std::collections::BTreeMap;

use foundation::page::MAX_LIMIT;
use foundation::problem::Problem;
use uuid::Uuid;

use super::visitor::Visitor;
use crate::agents;
use crate::members;
use crate::state::App;

/// Names by identifier, of as many as a page of each has.
#[derive(Debug)]
pub struct Names(BTreeMap<Uuid, String>);

impl Names {
    /// Those of the organization in which the person works, as far as the person may see them.
    ///
    /// # Errors
    /// A problem `not-found` where there is no organization, or one of the database.
    pub async fn of(app: &App, visitor: &Visitor) -> Result<Self, Problem> {
        let (actor, context, organization) = (&visitor.actor, &visitor.context, visitor.workplace()?.id);
        let limit = Some(MAX_LIMIT.to_string());
        let members = members::list::Filter { limit: limit.clone(), ..Default::default() };
        let mut names = BTreeMap::new();
        if visitor.may(&members::READ) {
            for member in members::list::find(app, actor, context, organization, &members).await?.items {
                let name =
                    if member.name.is_empty() { member.email.unwrap_or_default() } else { member.name };
                names.insert(member.person_id, name);
            }
        }
        if visitor.may(&agents::READ) {
            let agents = agents::list::Filter { limit, cursor: None };
            let found = agents::list::find(app, actor, context, &agents).await?.items;
            names.extend(found.into_iter().map(|agent| (agent.id, agent.name)));
        }
        names.retain(|_, name| !name.is_empty());
        Ok(Self(names))
    }

    /// What somebody is called; where that is not known, the identifier.
    pub fn name(&self, id: &Uuid) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| id.to_string())
    }
}
