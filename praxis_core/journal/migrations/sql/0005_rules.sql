-- What revision 0005 changes in what is said of the views.

COMMENT ON COLUMN praxis.asset_now.workcell IS 'Where it goes by its name, also while it is on a shelf; NULL: nowhere.';
COMMENT ON COLUMN praxis.asset_now.shelf IS 'Where it is outside of the workcell; NULL: it is not outside.';
