//! Which witnesses must have cosigned a checkpoint.

/// A witness or an earlier group, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    Witness(usize),
    Group(usize),
}

/// So many of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) threshold: usize,
    pub(crate) members: Vec<Member>,
}

/// The groups in the order of their definition, and what must be satisfied; nothing if `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Quorum {
    pub(crate) groups: Vec<Group>,
    pub(crate) root: Option<Member>,
}

impl Quorum {
    /// So many of the first `witnesses`.
    pub(crate) fn at_least(threshold: usize, witnesses: usize) -> Self {
        let members = (0..witnesses).map(Member::Witness).collect();
        let root = (threshold > 0).then_some(Member::Group(0));
        Self { groups: vec![Group { threshold, members }], root }
    }

    /// Whether the witnesses that `has_cosigned` are enough.
    pub(crate) fn is_satisfied(&self, has_cosigned: impl Fn(usize) -> bool) -> bool {
        let mut satisfied: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let count = group.members.iter().filter(|member| match member {
                Member::Witness(index) => has_cosigned(*index),
                Member::Group(index) => satisfied.get(*index).copied().unwrap_or(false),
            });
            satisfied.push(count.count() >= group.threshold);
        }
        match self.root {
            None => true,
            Some(Member::Witness(index)) => has_cosigned(index),
            Some(Member::Group(index)) => satisfied.get(index).copied().unwrap_or(false),
        }
    }

    /// The least number of witnesses that can be enough.
    pub(crate) fn least(&self) -> usize {
        let mut least: Vec<usize> = Vec::with_capacity(self.groups.len());
        let of = |member: &Member, least: &[usize]| match member {
            Member::Witness(_) => 1,
            Member::Group(index) => least.get(*index).copied().unwrap_or(usize::MAX),
        };
        for group in &self.groups {
            let mut each: Vec<usize> =
                group.members.iter().map(|member| of(member, &least)).collect();
            each.sort_unstable();
            least.push(
                each.iter().take(group.threshold).fold(0, |sum, one| sum.saturating_add(*one)),
            );
        }
        self.root.map_or(0, |root| of(&root, &least))
    }
}
