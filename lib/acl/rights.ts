import { notificationsGroups } from './notifications-rights.js';
import type { AclRole, AclScope, RightGroup } from './scope.js';
import { publisherGroups, servingGroups } from './serving-rights.js';
import { workerGroups } from './worker-rights.js';

export type { AclRole, AclScope, RightGroup, ServerFeatures, StoreFeature } from './scope.js';

const groupsOf = {
  serving: servingGroups,
  worker: workerGroups,
  publisher: publisherGroups,
  notifications: notificationsGroups,
};

/** The rights that a role needs, and no others. */
export const rightsOf = (role: AclRole, scope: AclScope): RightGroup[] => groupsOf[role](scope);
