//! Settings as they are made of keys: each field says in one place from which key it is read, and so under which it is
//! written out again.
//!
//! A section declares its keys inside [`section!`], which makes the table of them, and says inside [`settings!`] which
//! field each becomes. So a new key is two lines: its static, and its field.

use serde::ser::SerializeMap;

use super::reader::Reader;
use super::written::Written;

/// Where a field of settings comes from, and how it is written out again.
pub trait Part<T> {
    fn read(&self, reader: &Reader<'_>) -> Option<T>;
    fn write<M: SerializeMap>(&self, value: &T, map: &mut M) -> Result<(), M::Error>;
}

/// Settings that are made of parts; [`settings!`] implements it.
pub trait Parts: Sized {
    fn read(reader: &Reader<'_>) -> Option<Self>;
    /// The fields that are not as in `other`.
    fn differences(&self, other: &Self) -> Vec<&'static str>;
}

/// A field that several keys make together.
pub struct Joint<T: 'static> {
    read: fn(&Reader<'_>) -> Option<T>,
    /// The keys as they would be written.
    write: fn(&T) -> Vec<(&'static str, Written)>,
}

/// A field that no key is read into.
pub struct Unwritten;

/// Declares a section and its keys, in the order of the reference.
macro_rules! section {
    (
        $(#[$meta:meta])* $visible:vis static $section:ident = $head:expr;
        $($(#[$doc:meta])* $key_visible:vis static $key:ident: $type:ty = $value:expr;)*
    ) => {
        $(#[$meta])*
        $visible static $section: $crate::config::reading::Section = {
            static KEYS: &[&$crate::config::reading::Declaration] = &[$($key.declared()),*];
            $head.with(KEYS)
        };
        $($(#[$doc])* $key_visible static $key: $type = $value;)*
    };
}
pub(in crate::config) use section;

/// Settings, each field with the key that it is read from and shown under.
macro_rules! settings {
    (
        $(#[$meta:meta])* pub struct $name:ident {
            $($(#[$doc:meta])* pub $field:ident: $type:ty = $part:expr,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $crate::config::reading::Parts for $name {
            /// Reads every key before it gives up, so that every problem is told.
            fn read(reader: &$crate::config::reading::Reader<'_>) -> Option<Self> {
                $(let $field = reader.get::<$type>(&$part);)*
                Some(Self { $($field: $field?,)* })
            }

            fn differences(&self, other: &Self) -> Vec<&'static str> {
                let same = [$((stringify!($field), self.$field == other.$field)),*];
                same.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $($crate::config::reading::Part::<$type>::write(&$part, &self.$field, &mut map)?;)*
                serde::ser::SerializeMap::end(map)
            }
        }
    };
}
pub(in crate::config) use settings;

impl<T> Joint<T> {
    pub const fn new(read: fn(&Reader<'_>) -> Option<T>, write: fn(&T) -> Vec<(&'static str, Written)>) -> Self {
        Self { read, write }
    }
}

impl Reader<'_> {
    pub fn get<T>(&self, part: &impl Part<T>) -> Option<T> {
        part.read(self)
    }
}

impl<T> Part<T> for Joint<T> {
    fn read(&self, reader: &Reader<'_>) -> Option<T> {
        (self.read)(reader)
    }

    fn write<M: SerializeMap>(&self, value: &T, map: &mut M) -> Result<(), M::Error> {
        (self.write)(value).into_iter().try_for_each(|(name, written)| written.add(name, map))
    }
}

impl<T: Default> Part<T> for Unwritten {
    fn read(&self, _: &Reader<'_>) -> Option<T> {
        Some(T::default())
    }

    fn write<M: SerializeMap>(&self, _: &T, _: &mut M) -> Result<(), M::Error> {
        Ok(())
    }
}
