//! Copies that stand by in a simulated run: loaded piece by piece between the operations of the steps, as luck has it.

use guard::engine::history::History;
use guard::model::fact::StandbyState;
use guard::model::name::ResourceName;
use guard::model::plan::StageName;

use super::hands::Hands;
use super::planted::Bug;
use super::world::Touch;

/// One load.
#[derive(Debug)]
pub struct Load {
    name: ResourceName,
    /// What it loads.
    text: String,
    /// The pieces that are done.
    done: usize,
    /// What came of it; `None`: it goes on.
    state: Option<StandbyState>,
}

/// Where a copy stands by.
pub fn stage(name: &ResourceName, history: &History) -> String {
    format!("stage/{name}.{}", history.run())
}

/// What says that it is whole, and of which copy.
pub fn mark(stage: &str) -> String {
    format!("{stage}.whole")
}

impl Hands<'_> {
    /// Those whose copies are made before all others, as a database's is.
    pub fn wanting(&self) -> Vec<ResourceName> {
        let places = self.scenario.places.iter();
        let wanting = places.filter(|place| self.scenario.standby && place.captured_in == StageName::Databases);
        wanting.map(|place| place.name.clone()).collect()
    }

    pub fn begin_load(&self, name: &ResourceName, history: &History) {
        let text = self.wanted(name, history).unwrap_or_default();
        *self.run.lock().unwrap() = Some(history.run().to_string());
        self.loads.lock().unwrap().push(Load {
            name: name.clone(),
            text,
            done: 0,
            state: None,
        });
    }

    /// Perhaps a piece of a load.
    pub fn load_on(&self) {
        let Ok(mut loads) = self.loads.try_lock() else { return };
        let Some(load) = loads.iter_mut().find(|load| load.state.is_none()) else {
            return;
        };
        if !self.world.lock().chance.one_in(2) {
            return;
        }
        self.piece(load);
    }

    fn piece(&self, load: &mut Load) {
        let run = self.run.lock().unwrap().clone().unwrap_or_default();
        let stage = format!("stage/{}.{run}", load.name);
        let whole = mark(&stage);
        let bytes = load.text.as_bytes();
        let half = bytes.len() / 2;
        let rows = [
            Touch::Remove(&whole),
            Touch::Create(&stage),
            Touch::Write(&stage, 0, &bytes[..half]),
            Touch::Write(&stage, half, &bytes[half..]),
            Touch::Sync(&stage),
            Touch::SyncDirectory("stage"),
        ];
        let marks = [
            Touch::Create(&whole),
            Touch::Write(&whole, 0, bytes),
            Touch::Sync(&whole),
            Touch::SyncDirectory("stage"),
        ];
        // One that believes half a load says that it is whole before it has its rows.
        let pieces: Vec<Touch<'_>> = if self.has(Bug::StandbyMarkedEarly) {
            marks.into_iter().chain(rows.into_iter().skip(1)).collect()
        } else {
            rows.into_iter().chain(marks).collect()
        };
        let is_removal = matches!(pieces[load.done], Touch::Remove(_));
        if load.done == 0 {
            let mut world = self.world.lock();
            let world = &mut *world;
            world.oracle.sees_standby(&world.disk, load.name.as_str());
        }
        let touched = if is_removal && self.read(&whole).is_none() {
            Ok(())
        } else {
            self.touch_alone(pieces[load.done])
        };
        load.done += 1;
        if touched.is_err() {
            load.state = Some(StandbyState::Failed { why: "it broke".into() });
        } else if load.done == pieces.len() {
            load.state = Some(StandbyState::Ready { kept_as: stage.clone() });
        }
    }

    pub fn ended_loads(&self) -> Vec<(ResourceName, StandbyState)> {
        let mut loads = self.loads.lock().unwrap();
        let over = loads.extract_if(.., |load| load.state.is_some());
        over.map(|load| (load.name, load.state.unwrap())).collect()
    }

    /// Ends all of them.
    pub fn call_off_loads(&self) {
        for load in self
            .loads
            .lock()
            .unwrap()
            .iter_mut()
            .filter(|load| load.state.is_none())
        {
            let why = "it was not needed any more".into();
            load.state = Some(StandbyState::Without { why });
        }
    }

    /// The way back takes over what is loaded of a resource: it waits for it, or ends it.
    pub fn take_load(&self, name: &ResourceName) {
        if self.has(Bug::StandbyLoadsOn) {
            return;
        }
        let waits = self.world.lock().chance.one_in(2);
        let mut loads = self.loads.lock().unwrap();
        for load in loads.iter_mut().filter(|load| &load.name == name) {
            while waits && load.state.is_none() {
                self.piece(load);
            }
            load.state.get_or_insert(StandbyState::Without {
                why: "it was ended".into(),
            });
        }
    }

    /// Whether what is staged is a whole copy of this.
    pub fn is_standing(&self, stage: &str, wanted: &str) -> bool {
        self.read(&mark(stage)).as_deref() == Some(wanted) && self.read(stage).is_some()
    }

    /// Removes what stands by or was staged, or half of it, at the end of a run.
    pub fn stand_down(&self, run: &str) {
        if self.has(Bug::StandbyLeft) {
            return;
        }
        for name in self.scenario.places.iter().map(|place| &place.name) {
            let stage = format!("stage/{name}.{run}");
            for place in [mark(&stage), stage] {
                if self.read(&place).is_some() && self.touch_alone(Touch::Remove(&place)).is_err() {
                    self.world.lock().oracle.is_left_told = true;
                }
            }
        }
    }
}
