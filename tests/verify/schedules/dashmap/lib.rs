//! Stands in for `DashMap`, whose locks shuttle cannot see: a map of one shard. All keys meet in it, so
//! a guard that is held while the map is looked at again locks up whatever the keys.

use std::{collections::HashMap, fmt, hash::Hash, marker::PhantomData, ops};

use shuttle::sync::{Mutex, MutexGuard};

pub struct DashMap<K, V, S> {
    map: Mutex<HashMap<K, V>>,
    hasher: PhantomData<fn() -> S>,
}

type Guard<'a, K, V> = MutexGuard<'a, HashMap<K, V>>;

impl<K: Copy + Eq + Hash, V, S> DashMap<K, V, S> {
    pub fn with_hasher_and_shard_amount(_: S, _: usize) -> Self {
        Self {
            map: Mutex::default(),
            hasher: PhantomData,
        }
    }

    pub fn entry(&self, key: K) -> Entry<'_, K, V> {
        let map = self.map.lock().unwrap();
        if map.contains_key(&key) {
            Entry::Occupied(OccupiedEntry { map, key })
        } else {
            Entry::Vacant(VacantEntry { map, key })
        }
    }

    pub fn get_mut(&self, key: &K) -> Option<RefMut<'_, K, V>> {
        let map = self.map.lock().unwrap();
        let key = *key;
        map.contains_key(&key).then(|| RefMut { map, key })
    }

    pub fn remove_if_mut(&self, key: &K, f: impl FnOnce(&K, &mut V) -> bool) -> Option<(K, V)> {
        let mut map = self.map.lock().unwrap();
        let value = map.get_mut(key)?;
        f(key, value).then(|| map.remove_entry(key)).flatten()
    }

    pub fn shrink_to_fit(&self) {
        self.map.lock().unwrap().shrink_to_fit();
    }
}

impl<K, V, S> fmt::Debug for DashMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DashMap")
    }
}

#[allow(missing_debug_implementations, reason = "the crate prints none")]
pub enum Entry<'a, K, V> {
    Occupied(OccupiedEntry<'a, K, V>),
    Vacant(VacantEntry<'a, K, V>),
}

#[allow(missing_debug_implementations, reason = "the crate prints none")]
pub struct OccupiedEntry<'a, K, V> {
    map: Guard<'a, K, V>,
    key: K,
}

#[allow(missing_debug_implementations, reason = "the crate prints none")]
pub struct VacantEntry<'a, K, V> {
    map: Guard<'a, K, V>,
    key: K,
}

#[allow(missing_debug_implementations, reason = "the crate prints none")]
pub struct RefMut<'a, K, V> {
    map: Guard<'a, K, V>,
    key: K,
}

impl<K: Eq + Hash, V> OccupiedEntry<'_, K, V> {
    pub fn get(&self) -> &V {
        &self.map[&self.key]
    }

    pub fn get_mut(&mut self) -> &mut V {
        self.map.get_mut(&self.key).expect("an occupied place")
    }

    pub fn remove(mut self) -> V {
        self.map.remove(&self.key).expect("an occupied place")
    }
}

impl<K: Eq + Hash, V> VacantEntry<'_, K, V> {
    pub fn insert(mut self, value: V) {
        self.map.insert(self.key, value);
    }
}

impl<K: Eq + Hash, V> ops::Deref for RefMut<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.map[&self.key]
    }
}

impl<K: Eq + Hash, V> ops::DerefMut for RefMut<'_, K, V> {
    fn deref_mut(&mut self) -> &mut V {
        self.map.get_mut(&self.key).expect("an occupied place")
    }
}
