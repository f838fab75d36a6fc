//! Invented weather that never changes.

/// What is known of one city.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Climate<'a> {
    pub(super) city: &'a str,
    pub(super) condition: &'static str,
    /// Degrees Celsius.
    pub(super) temperature: f64,
    /// Relative humidity in percent.
    pub(super) humidity: f64,
}

/// The country's own spelling and its cities, whatever case the name is in.
pub(super) fn country(name: &str) -> Option<(&'static str, impl Iterator<Item = &'static str>)> {
    let name = name.trim();
    COUNTRIES
        .iter()
        .find(|(country, _)| country.eq_ignore_ascii_case(name))
        .map(|(country, cities)| (*country, cities.iter().map(|(city, ..)| *city)))
}

pub(super) fn countries() -> impl Iterator<Item = &'static str> {
    COUNTRIES.iter().map(|(country, _)| *country)
}

/// The listed figures, or for any other name some that follow from its letters.
pub(super) fn of(name: &str) -> Climate<'_> {
    COUNTRIES
        .iter()
        .flat_map(|(_, cities)| cities.iter())
        .find(|(city, ..)| city.eq_ignore_ascii_case(name))
        .map_or_else(
            || derived(name),
            |&(city, condition, temperature, humidity)| Climate {
                city,
                condition,
                temperature,
                humidity,
            },
        )
}

fn derived(name: &str) -> Climate<'_> {
    const CONDITIONS: [&str; 6] = ["Sunny", "Cloudy", "Rainy", "Windy", "Foggy", "Stormy"];
    // FNV-1a: the same figures on every platform and in every version.
    let mut mixed = name
        .to_lowercase()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |mixed, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut below = |bound: u16| {
        // Below `bound`, so the conversion holds.
        let part = u16::try_from(mixed % u64::from(bound)).unwrap_or_default();
        mixed /= u64::from(bound);
        part
    };
    Climate {
        city: name,
        condition: CONDITIONS[usize::from(below(6))],
        temperature: f64::from(below(350)) / 10.0 - 2.0,
        humidity: f64::from(below(600)) / 10.0 + 35.0,
    }
}

type City = (&'static str, &'static str, f64, f64);

const COUNTRIES: [(&str, &[City]); 6] = [
    (
        "usa",
        &[
            ("New York", "Cloudy", 17.3, 61.0),
            ("Los Angeles", "Sunny", 24.1, 48.5),
            ("Chicago", "Windy", 12.6, 58.2),
            ("Houston", "Stormy", 27.8, 74.9),
            ("Phoenix", "Sunny", 33.4, 18.7),
            ("Seattle", "Rainy", 13.2, 79.4),
        ],
    ),
    (
        "canada",
        &[
            ("Toronto", "Cloudy", 11.8, 63.5),
            ("Vancouver", "Rainy", 12.4, 81.1),
            ("Montreal", "Cloudy", 9.7, 66.8),
            ("Calgary", "Windy", 6.3, 45.2),
            ("Ottawa", "Foggy", 8.9, 70.3),
        ],
    ),
    (
        "uk",
        &[
            ("London", "Cloudy", 14.5, 72.6),
            ("Manchester", "Rainy", 12.1, 80.4),
            ("Birmingham", "Cloudy", 13.0, 74.8),
            ("Leeds", "Windy", 11.7, 76.2),
            ("Glasgow", "Rainy", 10.4, 83.9),
        ],
    ),
    (
        "australia",
        &[
            ("Sydney", "Sunny", 22.9, 59.3),
            ("Melbourne", "Windy", 18.2, 62.7),
            ("Brisbane", "Sunny", 25.6, 64.1),
            ("Perth", "Sunny", 26.3, 44.6),
            ("Adelaide", "Cloudy", 20.8, 51.9),
        ],
    ),
    (
        "india",
        &[
            ("Mumbai", "Stormy", 29.7, 82.3),
            ("Delhi", "Foggy", 26.4, 55.0),
            ("Bangalore", "Cloudy", 24.0, 67.5),
            ("Hyderabad", "Sunny", 28.6, 52.8),
            ("Chennai", "Rainy", 30.2, 77.4),
        ],
    ),
    (
        "portugal",
        &[
            ("Lisbon", "Sunny", 21.4, 56.2),
            ("Porto", "Cloudy", 18.7, 68.9),
            ("Braga", "Rainy", 17.2, 73.1),
            ("Faro", "Sunny", 23.5, 54.4),
            ("Coimbra", "Windy", 19.3, 60.7),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_and_unlisted_cities_have_fixed_weather() {
        assert_eq!(of("lisbon").temperature, 21.4);
        assert_eq!(of("LISBON").city, "Lisbon");
        assert_eq!(of("Reykjavík"), of("Reykjavík"));
        assert_ne!(of("Reykjavík").temperature, of("Oslo").temperature);
        for name in ["Oslo", "Nairobi", "São Paulo", "Quito", "x"] {
            let weather = of(name);
            assert!((-2.0..=33.0).contains(&weather.temperature), "{weather:?}");
            assert!((35.0..=95.0).contains(&weather.humidity), "{weather:?}");
        }
    }

    #[test]
    fn countries_are_found_in_any_case() {
        let (country, cities) = country(" Portugal ").unwrap();
        assert_eq!(country, "portugal");
        assert_eq!(cities.count(), 5);
        assert!(super::country("atlantis").is_none());
        assert_eq!(countries().count(), 6);
    }
}
