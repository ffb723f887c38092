//! Delta debugging: the smallest program found that still diverges the same way.

use std::time::Instant;

use serde_json::{Value as Json, json};

/// Reduces a program until nothing more can go, or the time is over. `diverges` says whether a
/// smaller program still shows what is looked for.
pub(crate) fn minimise(
    program: &Json,
    deadline: Instant,
    diverges: &mut dyn FnMut(&Json) -> bool,
) -> Json {
    let mut search = Search {
        best: program.clone(),
        deadline,
        diverges,
    };
    loop {
        let before = search.best.clone();
        search.lists();
        search.functions();
        search.unwrap();
        search.simplify();
        search.objects();
        if search.best == before || search.late() {
            return search.best;
        }
    }
}

/// Where the lists of statements inside a statement are, the main one first.
pub(crate) fn bodies(statement: &Json) -> Vec<String> {
    let handlers = |out: &mut Vec<String>| {
        let count = statement[2].as_array().map_or(0, Vec::len);
        out.extend((0..count).map(|number| format!("/2/{number}/1")));
    };
    let mut found = Vec::new();
    match statement[0].as_str() {
        Some("try") => {
            found.push("/1".to_owned());
            handlers(&mut found);
            found.extend(["/3".to_owned(), "/4".to_owned()]);
        }
        Some("trystar") => {
            found.push("/1".to_owned());
            handlers(&mut found);
        }
        Some("repeat" | "with" | "taskgroup") => found.push("/2".to_owned()),
        Some("timeout" | "timeout_at") => found.push("/3".to_owned()),
        _ => {}
    }
    found
}

struct Search<'a> {
    best: Json,
    deadline: Instant,
    diverges: &'a mut dyn FnMut(&Json) -> bool,
}

impl Search<'_> {
    fn late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Takes a smaller program if it still diverges.
    fn attempt(&mut self, candidate: Json) -> bool {
        if self.late() || candidate == self.best || !(self.diverges)(&candidate) {
            return false;
        }
        self.best = candidate;
        true
    }

    /// Removes statements, handlers, specs and members, many at a time at first.
    fn lists(&mut self) {
        let mut number = 0;
        // The places change as lists shrink, so they are looked up anew each time.
        while let Some(place) = places(&self.best).get(number).cloned() {
            let length = |program: &Json| {
                program
                    .pointer(&place)
                    .and_then(Json::as_array)
                    .map_or(0, Vec::len)
            };
            let mut size = length(&self.best);
            while size > 0 && !self.late() {
                let mut start = 0;
                while start < length(&self.best) {
                    let mut candidate = self.best.clone();
                    if let Some(list) = candidate.pointer_mut(&place).and_then(Json::as_array_mut) {
                        list.drain(start..(start + size).min(list.len()));
                    }
                    if !self.attempt(candidate) {
                        start += size;
                    }
                }
                size /= 2;
            }
            number += 1;
        }
    }

    /// Removes the functions that nothing starts any more.
    fn functions(&mut self) {
        for name in keys(&self.best["funcs"]) {
            if name != "main" {
                let mut candidate = self.best.clone();
                remove(&mut candidate["funcs"], &name);
                self.attempt(candidate);
            }
        }
    }

    /// Puts what a compound statement contains, or a called function, in the statement's place.
    fn unwrap(&mut self) {
        let mut number = 0;
        while let Some(place) = statements(&self.best).get(number).cloned() {
            if !self
                .insides(&place)
                .into_iter()
                .any(|inside| self.replace(&place, &inside))
            {
                number += 1;
            }
        }
    }

    /// The lists of statements that may stand for a statement: all it contains, or one part of it.
    fn insides(&self, place: &str) -> Vec<Vec<Json>> {
        let Some(statement) = self.best.pointer(place) else {
            return Vec::new();
        };
        let list = |json: Option<&Json>| json.and_then(Json::as_array).cloned().unwrap_or_default();
        if let (Some("call"), Some(name)) = (statement[0].as_str(), statement[1].as_str()) {
            return vec![list(self.best["funcs"].get(name))];
        }
        let parts: Vec<_> = bodies(statement)
            .iter()
            .map(|body| list(statement.pointer(body)))
            .collect();
        if parts.is_empty() {
            return Vec::new();
        }
        let mut insides = vec![parts.concat()];
        insides.extend(parts);
        insides
    }

    fn replace(&mut self, place: &str, by: &[Json]) -> bool {
        let mut candidate = self.best.clone();
        let statement = &self.best.pointer(place).unwrap_or(&Json::Null);
        if let (Some("call"), Some(name)) = (statement[0].as_str(), statement[1].as_str()) {
            // Where others need the function as well, the program is none and will not do.
            remove(&mut candidate["funcs"], name);
        }
        let Some((list, index)) = place.rsplit_once('/') else {
            return false;
        };
        let (Some(list), Ok(index)) = (
            candidate.pointer_mut(list).and_then(Json::as_array_mut),
            index.parse::<usize>(),
        ) else {
            return false;
        };
        list.splice(index..=index, by.iter().cloned());
        // What does not grow smaller might go on without end.
        candidate.to_string().len() < self.best.to_string().len() && self.attempt(candidate)
    }

    /// Replaces numbers by smaller ones and leaves messages out.
    fn simplify(&mut self) {
        for place in statements(&self.best) {
            let Some(statement) = self.best.pointer(&place).cloned() else {
                continue;
            };
            let mut simpler = Vec::new();
            let mut with = |index: usize, value: Json| {
                let mut changed = statement.clone();
                changed[index] = value;
                simpler.push(changed);
            };
            match statement[0].as_str() {
                Some("sleep") => with(1, json!(0)),
                Some("repeat") => [1, 2].into_iter().for_each(|times| with(1, json!(times))),
                Some("call_later" | "timeout" | "timeout_at") => with(2, json!(0)),
                Some("cancel") => simpler.push(json!(["cancel", statement[1]])),
                _ => {}
            }
            for statement in simpler {
                let mut candidate = self.best.clone();
                if let Some(old) = candidate.pointer_mut(&place) {
                    *old = statement;
                }
                if self.attempt(candidate) {
                    break;
                }
            }
        }
    }

    /// Removes the objects that do not matter, and the keys that the language does not know.
    fn objects(&mut self) {
        for name in keys(&self.best["objects"]) {
            let mut candidate = self.best.clone();
            remove(&mut candidate["objects"], &name);
            self.attempt(candidate);
        }
        let mut candidate = self.best.clone();
        remove(&mut candidate, "pins");
        self.attempt(candidate);
    }
}

/// Every list of which parts may go, the outer ones first.
fn places(program: &Json) -> Vec<String> {
    let mut found: Vec<String> = keys(&program["funcs"])
        .iter()
        .map(|name| function(name))
        .collect();
    for statement in statements(program) {
        let json = program.pointer(&statement).unwrap_or(&Json::Null);
        found.extend(bodies(json).iter().map(|body| format!("{statement}{body}")));
        let list = match json[0].as_str() {
            Some("try" | "trystar" | "gather_bg" | "raise_group") => "/2",
            Some("gather" | "wait" | "as_completed") => "/1",
            _ => continue,
        };
        found.push(format!("{statement}{list}"));
    }
    found
}

/// Every statement of the program, those of the outer lists first.
fn statements(program: &Json) -> Vec<String> {
    let mut lists: Vec<String> = keys(&program["funcs"])
        .iter()
        .map(|name| function(name))
        .collect();
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(list) = lists.get(next).cloned() {
        let body = program
            .pointer(&list)
            .and_then(Json::as_array)
            .map_or(&[][..], Vec::as_slice);
        for (number, statement) in body.iter().enumerate() {
            let place = format!("{list}/{number}");
            lists.extend(
                bodies(statement)
                    .iter()
                    .map(|body| format!("{place}{body}")),
            );
            found.push(place);
        }
        next += 1;
    }
    found
}

fn function(name: &str) -> String {
    format!("/funcs/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn keys(json: &Json) -> Vec<String> {
    json.as_object()
        .map(|object| object.keys().cloned().collect())
        .unwrap_or_default()
}

fn remove(object: &mut Json, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.shift_remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn only_what_matters_is_left() {
        let program = json!({
            "name": "p", "pins": "x", "objects": {"f0": ["future"], "f1": ["future"]},
            "funcs": {
                "main": [["log", "a"], ["sleep", 1], ["try", [["repeat", 3, [["log", "b"], ["cancel", "f1", "m"]]]], [[["ErrA"], [["time"]]]], [], [["time"]]]],
                "a/b": [["log", "c"]]
            }
        });
        let mut tries = 0;
        let least = minimise(&program, soon(), &mut |candidate| {
            tries += 1;
            candidate.to_string().contains(r#"["cancel","f1""#)
                && !candidate["objects"]["f1"].is_null()
        });
        assert_eq!(
            least,
            json!({"name": "p", "objects": {"f1": ["future"]}, "funcs": {"main": [["cancel", "f1"]]}})
        );
        assert!(tries < 100, "{tries} programs were tried");
    }

    #[test]
    fn two_statements_far_apart_survive() {
        let body: Vec<Json> = (0..40).map(|number| json!(["log", number])).collect();
        let program = json!({"name": "p", "objects": {}, "funcs": {"main": body}});
        let least = minimise(&program, soon(), &mut |candidate| {
            let text = candidate.to_string();
            text.contains("[\"log\",3]") && text.contains("[\"log\",37]")
        });
        assert_eq!(least["funcs"]["main"], json!([["log", 3], ["log", 37]]));
    }

    #[test]
    fn compound_statements_and_calls_give_way_to_what_they_contain() {
        let program = json!({"name": "p", "funcs": {
            "main": [["try", [["call", "a"]], [[["ErrA"], [["time"]]]], [], [["repeat", 2, [["log", "y"]]]]]],
            "a": [["log", "x"], ["call", "b"]],
            "b": [["sleep", 0]]
        }});
        let least = minimise(&program, soon(), &mut |candidate| {
            let main = candidate["funcs"]["main"].to_string();
            let calls =
                main.contains(r#"["call","a"]"#) && candidate.to_string().contains(r#""x""#);
            (calls || main.contains(r#""x""#)) && main.contains("time") && main.contains(r#""y""#)
        });
        assert_eq!(
            least["funcs"],
            json!({"main": [["log", "x"], ["time"], ["log", "y"]]})
        );
    }

    #[test]
    fn time_over_is_over() {
        let program = json!({"name": "p", "funcs": {"main": [["log", 1]]}});
        assert_eq!(minimise(&program, Instant::now(), &mut |_| true), program);
    }
}
