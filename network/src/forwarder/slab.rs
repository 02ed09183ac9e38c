//! Numbered places for connections.

/// Values under small numbers that are used again, but not before [`Slab::settle`]: an event that was collected for an
/// old value must not reach a new one.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<usize>,
    left: Vec<usize>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Slab<T> {
        Slab { values: Vec::new(), free: Vec::new(), left: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(key) => {
                self.values[key] = Some(value);
                key
            }
            None => {
                self.values.push(Some(value));
                self.values.len() - 1
            }
        }
    }

    pub(crate) fn get(&mut self, key: usize) -> Option<&mut T> {
        self.values.get_mut(key)?.as_mut()
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        let value = self.values.get_mut(key)?.take()?;
        self.left.push(key);
        Some(value)
    }

    /// Numbers of removed values may be used again.
    pub(crate) fn settle(&mut self) {
        self.free.append(&mut self.left);
        if self.free.len() == self.values.len() {
            // After a flood of connections the memory goes back.
            *self = Slab::new();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() + self.left.len() == self.values.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.values.iter().enumerate().filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_only_after_settling() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        assert_ne!(slab.insert('c'), a);
        slab.settle();
        assert_eq!(slab.insert('d'), a);
        assert_eq!(slab.get(b).copied(), Some('b'));
        assert_eq!(slab.iter().count(), 3);
        for key in 0..3 {
            slab.remove(key);
        }
        assert!(slab.is_empty());
    }
}
