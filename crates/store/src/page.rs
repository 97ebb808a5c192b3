//! One page of a list.

/// One page of a list. It may hold fewer items than asked for, even none, and still have a successor.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    pub items: Vec<T>,
    /// Where the next page begins: after this one.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// The first `limit` of `items`. One more was read than are wanted, so that it is known whether others follow them.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> C) -> Self {
        let follow = items.len() > limit;
        items.truncate(limit);
        let next = if follow { items.last().map(place) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_successor_where_more_was_read_than_it_holds() {
        for (read, limit, items, next) in [(vec![7, 5, 3], 2, vec![7, 5], Some(5)), (vec![7, 5], 2, vec![7, 5], None)] {
            let page = Page::cut(read, limit, |item| *item);
            assert_eq!((page.items, page.next), (items, next));
        }
        assert_eq!(Page::cut(Vec::<i32>::new(), 2, |item| *item).next, None);
    }
}
